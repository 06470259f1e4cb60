-- count: how many flows, ids sent to names, and kept messages there are.
return { redis.call('ZCARD', P .. 'all'), redis.call('ZCARD', P .. 'names'), redis.call('HLEN', P .. 'kept') }
