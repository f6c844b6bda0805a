-- The reply cache: replies of changes that cannot be recognised from the record
-- itself, stored under the idempotency key.

-- saveReply stores a reply with the emitted events, and returns the reply. A
-- lost reply is asked for again within seconds. The first request may arrive
-- late, for as long as TCP tries to deliver it: some two minutes after its
-- caller has given up.
local function saveReply(key, reply)
  local parts = {table.concat(emitted)}
  for _, value in ipairs(reply) do
    local is_number = type(value) == 'number'
    parts[#parts + 1] = is_number and 'i' .. string.format('%.0f', value) or 's' .. value
  end
  for i, part in ipairs(parts) do parts[i] = pack(F.part.size, #part) .. part end
  redis.call('UNLINK', key) -- allowed if memory is full, and so is what follows; see save
  redis.call('SET', key, table.concat(parts), 'PX', REPLY_CACHE)
  return reply
end

-- loadReply returns the reply of the change if it ran before, and emits its
-- events again; otherwise nil.
local function loadReply(key)
  local raw = redis.call('GET', key)
  if not raw then return nil end
  local reply, at = {}, 0
  while at < #raw do
    local size = number(raw, at, F.part.size)
    local part = sub(raw, at + PART_HEAD + 1, at + PART_HEAD + size)
    if at == 0 then
      emitted[1] = part
    else
      local value = tail(part, F.value.value)
      reply[#reply + 1] = get(part, F.value.kind) == 'i' and tonumber(value) or value
    end
    at = at + PART_HEAD + size
  end
  return reply
end
