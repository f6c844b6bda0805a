-- Events of a change: to the caller, and into the subject's activity.

-- emit adds an event. what is the reason of an end, the policy that a change of
-- device or network met, or 0. at is its time if that is not now. actor is
-- empty for an end that nobody asked for. entry is that of the session, if there
-- is one.
local function emit(change, kind, session, what, at, actor, entry)
  local head = pack(
    F.event.type, kind,
    F.event.time, at or change.now,
    F.event.idem, change.idem,
    F.event.number, #change.events % 256,
    F.event.session, session,
    F.event.what, what)
  change.events[#change.events + 1] = head .. (actor or change.actor)
  emitted[#emitted + 1] = change.user .. head
  if change.outbox and byte(change.outgoing, kind) == PUBLISHED then
    change.queue[#change.queue + 1] = pack(
      F.outbox.user, change.user,
      F.outbox.event, head,
      F.outbox.origin, entry and get(entry, F.origin) or NO_ORIGIN,
      F.outbox.asked, actor and 0 or 1)
  end
end

-- detailOf returns the entry that the activity has of a change's detail. It has
-- the layout of an event, with the type and the time 0: earlier versions take
-- it for one that is too old, and leave it out.
local function detailOf(change)
  return pack(
    F.event.type, 0,
    F.event.time, 0,
    F.event.idem, change.idem,
    F.event.number, 0,
    F.event.session, NO_SESSION,
    F.event.what, 0) .. change.detail
end

-- writeEvents writes the events into the outbox, if they are to be published,
-- and into the activity, newest first. There is no event without its change,
-- and no change without its event. A detail is in front of its events, so that
-- it is not dropped before them, and is written last, so that it pushes none of
-- them out.
local function writeEvents(change)
  writeOutbox(change)
  if change.cap == 0 or #change.events == 0 then return end
  for _, event in ipairs(change.events) do callOrReset('LPUSH', change.activity, event) end
  redis.call('LTRIM', change.activity, 0, change.cap - 1)
  if change.detail and change.detail ~= '' then
    redis.call('LPUSH', change.activity, detailOf(change))
  end
  local last = redis.call('LINDEX', change.activity, -1)
  -- Drop what is not an event, or is older than the activity is kept.
  local oldest = change.now - tonumber(change.keep)
  while last and (#last < EVENT_SIZE or number(last, F.event.time) <= oldest) do
    redis.call('RPOP', change.activity)
    last = redis.call('LINDEX', change.activity, -1)
  end
  redis.call('PEXPIRE', change.activity, change.keep)
end

-- emitAgain emits what this change emitted when it ran before and its reply was
-- lost. It returns the number of events.
local function emitAgain(change)
  local stored = callOrReset('LRANGE', change.activity, 0, EVENTS_READ_AGAIN - 1)
  for i = #stored, 1, -1 do
    local detail = number(stored[i], F.event.type) == 0
    if not detail and get(stored[i], F.event.idem) == change.idem then
      emitted[#emitted + 1] = change.user .. get(stored[i], F.event.head)
    end
  end
  return #emitted
end
