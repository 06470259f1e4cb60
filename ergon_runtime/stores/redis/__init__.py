"""The Redis store."""

from ergon_runtime.stores.redis.store import RedisOptions, RedisStore

__all__ = ["RedisOptions", "RedisStore"]
