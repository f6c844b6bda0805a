-- Removes the oldest events of an outbox: those that were published, or that can
-- never be. It stops at the first that is neither, so an event that another
-- publisher has yet to send stays, whatever happened since the caller read.
--
-- KEYS[1]   the partition's outbox
-- KEYS[2]   its state
-- KEYS[3]   its events that cannot be published
-- ARGV[..]  the head of each event: 'p' for one that was published, 'x' for one
--           that cannot be, and its bytes before those that are sealed
--
-- Returns  {DONE, removed, dropped}
--            dropped  how many were dropped since the last call because the
--                     outbox was full
local outbox, state, refused = KEYS[1], KEYS[2], KEYS[3]

local known = {}
for i = 1, #ARGV - 1 do
  known[get(ARGV[i], F.fate.head)] = get(ARGV[i], F.fate.fate)
end
local removed = 0
while true do
  local oldest = callOrReset('LINDEX', outbox, -1)
  local fate = oldest and known[get(oldest, F.outbox.head)]
  if not fate then break end
  if fate == 'x' then
    callOrReset('LPUSH', refused, oldest)
    redis.call('LTRIM', refused, 0, OUTBOX_REFUSED - 1)
  end
  redis.call('RPOP', outbox)
  removed = removed + 1
end
local dropped = tonumber(callOrReset('HGET', state, 'dropped') or 0)
if dropped > 0 then redis.call('HDEL', state, 'dropped') end
return {DONE, removed, dropped}
