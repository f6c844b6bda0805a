-- The binding check: device and network of the caller against those that a
-- session is bound to.

-- presentedDevice returns the one of the caller's two device hashes that an
-- entry is compared with. It is empty if the request could not present a
-- device, or only the first and the entry needs the second.
local function presentedDevice(entry, devices)
  if devices == '' then return '' end
  local with_id = number(entry, F.flags) % (2 * DEVICE_ID) >= DEVICE_ID
  return with_id and get(devices, F.devices.full) or get(devices, F.devices.bare)
end

-- checkBinding returns the entry with the policy result recorded, and the
-- result: nil, or the strictest policy that a change met. devices are two
-- hashes, without and with the id that the client sent, or only the first. They
-- and network are empty if the request could not present any.
--
-- The first change is recorded at once, and after it one per touch interval:
-- settled reports that the last interval is over. So nobody can push everything
-- else out of the activity by changing to and fro.
local function checkBinding(change, entry, policies, devices, network, settled)
  local flags, worst = number(entry, F.flags), nil
  local function check(policy, event, bound, last, presented)
    if policy == OFF or presented == '' or presented == bound then return last end
    local required = flags % (2 * STEP_UP_REQUIRED) >= STEP_UP_REQUIRED
    if policy == LOG or policy == STEP_UP and required then
      if presented == last or last ~= bound and not settled then return last end
    elseif policy == STEP_UP then
      flags = flags + STEP_UP_REQUIRED
    end
    if not worst or policy > worst then worst = policy end
    if policy ~= REVOKE then emit(change, event, get(entry, F.session), policy, nil, nil, entry) end
    return presented
  end
  local last_device = check(number(policies, F.policies.device), EVENT_DEVICE,
    get(entry, F.device), get(entry, F.last_device), presentedDevice(entry, devices))
  local last_network = check(number(policies, F.policies.network), EVENT_NETWORK,
    get(entry, F.network), get(entry, F.last_network), network)
  if not worst then return entry, nil end
  entry = with(entry,
    F.last_device, last_device,
    F.last_network, last_network,
    F.flags, flags)
  return entry, worst
end
