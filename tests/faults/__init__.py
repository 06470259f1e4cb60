"""A fault at every call: small flows with people's acts, run again for each call they make of the store, with that call
failing in one of several ways."""
