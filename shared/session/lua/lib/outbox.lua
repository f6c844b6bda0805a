-- The outbox of a partition: the events that are still to be published, newest
-- first; see outbox.go.

-- writeOutbox appends the events of a change that are to be published. Each gets
-- a sequence number that is larger than all before it in the partition. If a
-- failover lost the latest ones, or the state has expired, the time has passed
-- on, and the numbers with it.
local function writeOutbox(change)
  if not change.outbox or #change.queue == 0 then return end
  local sequence, dropped = 0, 0
  local state = callOrReset('GET', change.outbox_state)
  if state and #state == OUTBOX_STATE_SIZE then
    sequence, dropped = number(state, F.queued.sequence), number(state, F.queued.dropped)
  end
  local queue, sealed = change.queue, tail(change.outgoing, F.outgoing.sealed)
  for i, event in ipairs(queue) do
    sequence = math.max(sequence + 1, change.now)
    queue[i] = pack(F.outbox.format, OUTBOX_FORMAT, F.outbox.sequence, sequence) .. event .. sealed
  end
  local function saveState()
    redis.call('SET', change.outbox_state,
      pack(F.queued.sequence, sequence, F.queued.dropped, dropped), 'PX', OUTBOX_KEEP)
  end
  saveState()
  local length = callOrReset('LPUSH', change.outbox, unpack(queue))
  if length == #queue then redis.call('PEXPIRE', change.outbox, OUTBOX_KEEP) end
  if length > OUTBOX_MAX then
    redis.call('LTRIM', change.outbox, 0, OUTBOX_MAX - 1)
    dropped = dropped + length - OUTBOX_MAX
    saveState()
  end
end
