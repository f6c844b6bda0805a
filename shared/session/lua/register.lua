-- Makes the registry match the records of some accounts of a partition, and
-- drops names and notes that an earlier version has left. A record that has no
-- known layout is left alone, and so is its account.
--
-- KEYS[1]   the partition's registry, see lib/registry.lua
-- KEYS[2]   what is sealed of its accounts
-- KEYS[3..] the record of each account in turn
-- ARGV[1..] the user id of each account in turn
--
-- Returns  {DONE, wrong}  how many accounts were wrong
local registry, text, wrong = KEYS[1], KEYS[2], 0

redis.call('PERSIST', registry) -- needs no memory, so that the other writes may; see save
for i = 3, #KEYS do
  local change = {registry = registry, registry_text = text, user = ARGV[i - 2]}
  local raw = redis.pcall('GET', KEYS[i]) or BLANK_RECORD
  if type(raw) == 'string' and wellFormed(raw) then
    local rec = open(raw)
    local listed = callOrReset('ZSCORE', registry, change.user)
    if isRegistered(rec) ~= (listed ~= false and listed ~= nil) then
      updateRegistry(change, rec, '')
      wrong = wrong + 1
    elseif isRegistered(rec) then
      local name = dropStale(change, rec, NAME_TEXT)
      local note = dropStale(change, rec, NOTE_TEXT)
      if name or note then wrong = wrong + 1 end
    end
  end
end
return {DONE, wrong}
