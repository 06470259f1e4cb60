-- send: ARGV[2..] are target ('' for a name alone), message id, channel, body. Answers 1, or 0 if it was not taken.
local taken = send(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
ring()
return taken
