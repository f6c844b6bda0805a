-- Writes a key that nothing reads, as a check that a login could work: the user
-- may run scripts and write, and the server is a primary with free memory.
--
-- KEYS[1]  the key
-- ARGV[1]  its TTL, ms
--
-- Returns  {DONE}
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return {DONE}
