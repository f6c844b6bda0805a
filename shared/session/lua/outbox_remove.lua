-- Removes the oldest events of an outbox: those that were published, or that
-- can never be. It stops at the first that is neither, so an event that another
-- publisher has yet to send stays, whatever happened since the caller read.
--
-- KEYS[1]   the partition's outbox
-- KEYS[2]   its state
-- KEYS[3]   its events that cannot be published
-- ARGV[..]  the head of each event: 'p' for one that was published, 'x' for one
--           that cannot be, and its bytes before those that are sealed
--
-- Returns  {DONE, removed, dropped}
--            dropped  how many were dropped since events were last removed
--                     because the outbox was full
local outbox, state, refused = KEYS[1], KEYS[2], KEYS[3]

local fates = {}
for i = 1, #ARGV - 1 do
  fates[get(ARGV[i], F.fate.head)] = get(ARGV[i], F.fate.fate)
end
local removed, apart = 0, 0
while true do
  local oldest = callOrReset('LINDEX', outbox, -1)
  local fate = oldest and fates[get(oldest, F.outbox.head)]
  if not fate then break end
  if fate == 'x' then
    -- Allowed if memory is full, and so is what follows; see save.
    callOrReset('LTRIM', refused, 0, OUTBOX_REFUSED - 2)
    redis.call('LPUSH', refused, oldest)
    apart = apart + 1
  end
  redis.call('RPOP', outbox)
  removed = removed + 1
end
if removed == 0 then return {DONE, 0, 0} end
redis.call('PEXPIRE', outbox, OUTBOX_KEEP)
if apart > 0 then redis.call('PEXPIRE', refused, OUTBOX_KEEP) end
local known = callOrReset('GET', state)
local dropped = known and #known == OUTBOX_STATE_SIZE and number(known, F.queued.dropped) or 0
if dropped > 0 then
  redis.call('SET', state, with(known, F.queued.dropped, 0), 'PX', OUTBOX_KEEP)
end
return {DONE, removed, dropped}
