-- The outbox of a partition: the events that are still to be published, newest
-- first; see outbox.go.

-- writeOutbox appends the events of a change that are to be published. Each gets
-- a sequence number that is larger than all before it in the partition, also if a
-- failover lost the latest ones: the time has passed on then.
local function writeOutbox(change)
  if not change.outbox then return end
  local wanted, sealed = get(change.outgoing, F.outgoing.types), tail(change.outgoing, F.outgoing.sealed)
  for i, event in ipairs(change.events) do
    if byte(wanted, number(event, F.event.type)) == 49 then
      local last = tonumber(callOrReset('HGET', change.outbox_state, 'sequence') or 0)
      local sequence = math.max(last + 1, change.now)
      redis.call('HSET', change.outbox_state, 'sequence', string.format('%.0f', sequence))
      local length = callOrReset('LPUSH', change.outbox, pack(
        F.outbox.format, OUTBOX_FORMAT,
        F.outbox.sequence, sequence,
        F.outbox.user, change.user,
        F.outbox.event, get(event, F.event.head),
        F.outbox.origin, change.about[i].origin,
        F.outbox.asked, change.about[i].asked) .. sealed)
      if length > OUTBOX_MAX then
        redis.call('RPOP', change.outbox)
        local dropped = tonumber(redis.call('HGET', change.outbox_state, 'dropped') or 0)
        redis.call('HSET', change.outbox_state, 'dropped', dropped + 1)
      end
    end
  end
end
