package session

import (
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// clientBinding is what the binding check compares of a client: keyed hashes.
// They are bound to the session, so that equal devices look different in Redis.
type clientBinding struct {
	// bare and full are hashes of the device, without and with the device id
	// that the client sent.
	bare, full   [bindingHashSize]byte
	notEvaluated bool
	network      [bindingHashSize]byte
	noNetwork    bool // the request could not have presented a network
	noID         bool // the request could not have presented a device id
	noResult     bool // no policy result may be recorded for the request
}

// bindingOf returns a client's binding for a session.
func (s *Store) bindingOf(key seal.KeyID, id token.ID, client Client) (clientBinding, error) {
	d := client.Device
	device := [][]byte{
		id.User[:], id.Session[:],
		[]byte(d.Browser), []byte(d.OS), {byte(d.Class)}, []byte(d.ID),
	}
	bare, err := s.keys.MAC(key, seal.Device, device[:len(device)-1]...)
	if err != nil {
		return clientBinding{}, err
	}
	full, err := s.keys.MAC(key, seal.Device, device...)
	if err != nil {
		return clientBinding{}, err
	}
	network, err := s.keys.MAC(key, seal.Network, id.User[:], id.Session[:], []byte(networkOf(client.IP).String()))
	if err != nil {
		return clientBinding{}, err
	}
	return clientBinding{
		bare: [bindingHashSize]byte(bare), full: [bindingHashSize]byte(full),
		network:      [bindingHashSize]byte(network),
		notEvaluated: client.NotEvaluated, noNetwork: client.NoNetwork,
		noID: client.NoDeviceID, noResult: client.NoPolicyResult || client.ReadOnly,
	}, nil
}

// withoutID returns the binding for a session. If the session is bound to a
// device id, and the request could not have presented one, what the session's
// payload has of its device decides: the record has only a hash with the id.
func (c clientBinding) withoutID(e entry, bound, presented Device) clientBinding {
	if !c.noID || e.flags&flagDeviceID == 0 {
		return c
	}
	// Otherwise full is a hash without an id, which is of another device.
	if presented.Browser == bound.Browser && presented.OS == bound.OS &&
		presented.Class == e.class {
		c.full = e.device
	}
	c.noID = false
	return c
}

// refuses reports whether a policy refuses a client, if no policy result may be
// recorded for it.
func (s *Store) refuses(e entry, c clientBinding) bool {
	refuse := func(policy Policy, bound, presented [bindingHashSize]byte) bool {
		return policy > PolicyLog && presented != bound
	}
	return c.presentsDevice(e) && refuse(s.opts.DevicePolicy, e.device, c.device(e.flags)) ||
		!c.noNetwork && refuse(s.opts.NetworkPolicy, e.network, c.network)
}

// presentsDevice reports whether a request presents what a session's device is
// compared with.
func (c clientBinding) presentsDevice(e entry) bool {
	return !c.notEvaluated && !(c.noID && e.flags&flagDeviceID != 0)
}

// policies returns the policies for device and network as scripts take them.
func (s *Store) policies() []byte {
	return []byte{byte(s.opts.DevicePolicy), byte(s.opts.NetworkPolicy)}
}

// touchPolicies returns the policies for a client that refuses has let pass. If
// no result may be recorded for it, the policies that would record one are off.
func (s *Store) touchPolicies(c clientBinding) []byte {
	policies := s.policies()
	for i, policy := range policies {
		if c.noResult && Policy(policy) > PolicyLog {
			policies[i] = byte(PolicyOff)
		}
	}
	return policies
}

// devices returns the device hashes as scripts take them: none if the request
// could not have presented a device, and only the first if it could not have
// presented a device id.
func (c clientBinding) devices() []byte {
	if c.notEvaluated {
		return []byte{}
	}
	if c.noID {
		return c.bare[:]
	}
	return append(c.bare[:], c.full[:]...)
}

// networks returns the network hash as scripts take it: empty if the request
// could not have presented a network.
func (c clientBinding) networks() []byte {
	if c.noNetwork {
		return []byte{}
	}
	return c.network[:]
}

// device returns the device hash for a session with these flags. It includes
// the device id if the session is bound to one.
func (c clientBinding) device(flags byte) [bindingHashSize]byte {
	if flags&flagDeviceID != 0 {
		return c.full
	}
	return c.bare
}

// boundWith returns the flags of a session that is bound to a device. If the
// client sent a device id, the session is bound to it, too.
func boundWith(d Device) byte {
	if d.ID != "" {
		return flagDeviceID
	}
	return 0
}

// changed reports whether a change of device or network must be recorded before
// the touch interval is over. checkBinding in lua/lib/binding.lua makes the
// final decision.
func (s *Store) changed(e entry, c clientBinding) bool {
	stepUpRequired := e.flags&flagStepUpRequired != 0
	mustRecord := func(policy Policy, bound, last, presented [bindingHashSize]byte) bool {
		switch {
		case policy == PolicyOff, presented == bound:
			return false
		case policy == PolicyLog, policy == PolicyStepUp && stepUpRequired:
			return presented != last && last == bound
		}
		return true
	}
	return c.presentsDevice(e) && mustRecord(s.opts.DevicePolicy, e.device, e.lastDevice, c.device(e.flags)) ||
		!c.noNetwork && mustRecord(s.opts.NetworkPolicy, e.network, e.lastNetwork, c.network)
}
