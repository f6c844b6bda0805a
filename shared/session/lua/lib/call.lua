-- callOrReset is redis.call for keys beside a record. If the key has another
-- type, which no version of this service writes, it is deleted and the call is
-- made again. Scripts do not roll back, so a damaged key there must not stop a
-- change half way, nor prevent the end of a session.
local function callOrReset(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then redis.call('UNLINK', key) end
  return redis.call(command, key, ...)
end
