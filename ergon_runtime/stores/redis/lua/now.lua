-- now: the server's clock.
return now
