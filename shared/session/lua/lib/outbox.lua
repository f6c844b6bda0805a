-- The outbox of a partition: the events that are still to be published, newest
-- first; see outbox.go.

-- writeOutbox appends the events of a change that are to be published. Each gets
-- a sequence number that is larger than all before it in the partition. If a
-- failover lost the latest ones, or the state has expired, the time has passed
-- on, and the numbers with it.
local function writeOutbox(change)
  if not change.outbox or #change.queue == 0 then return end
  local queue, sealed = change.queue, tail(change.outgoing, F.outgoing.sealed)
  local state = callOrReset('GET', change.outbox_state)
  if not state or #state ~= OUTBOX_STATE_SIZE then state = NO_OUTBOX_STATE end
  for i, event in ipairs(queue) do
    local sequence = math.max(number(state, F.queued.sequence) + 1, change.now)
    state = with(state, F.queued.sequence, sequence)
    queue[i] = pack(F.outbox.format, OUTBOX_FORMAT, F.outbox.sequence, get(state, F.queued.sequence))
      .. event .. sealed
  end
  redis.call('SET', change.outbox_state, state, 'PX', OUTBOX_KEEP)
  local length = callOrReset('LPUSH', change.outbox, unpack(queue))
  if length == #queue then
    redis.call('PEXPIRE', change.outbox, OUTBOX_KEEP)
  elseif length > OUTBOX_MAX then
    redis.call('LTRIM', change.outbox, 0, OUTBOX_MAX - 1)
    local dropped = number(state, F.queued.dropped) + length - OUTBOX_MAX
    redis.call('SET', change.outbox_state, with(state, F.queued.dropped, dropped), 'PX', OUTBOX_KEEP)
  end
end
