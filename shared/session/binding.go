package session

import (
	"latchkey/shared/seal"
	"latchkey/shared/token"
)

// clientBinding are what is compared of a client: keyed hashes, bound to the session, so that equal devices look unlike in Redis.
type clientBinding struct {
	// bare and full are of the device, without and with the id that the client sent.
	bare, full   [bindingHashSize]byte
	notEvaluated bool
	network      [bindingHashSize]byte
	noNetwork    bool // the request could not have shown one
	noID         bool // nor a device id
}

// bindingOf makes them for a session.
func (s *Store) bindingOf(key seal.KeyID, id token.ID, client Client) (clientBinding, error) {
	d := client.Device
	device := [][]byte{id.User[:], id.Session[:], []byte(d.Browser), []byte(d.OS), {byte(d.Class)}, []byte(d.ID)}
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
		bare: [bindingHashSize]byte(bare), full: [bindingHashSize]byte(full), network: [bindingHashSize]byte(network),
		notEvaluated: client.NotEvaluated, noNetwork: client.NotEvaluated && !client.IP.IsValid(),
		noID: client.NoDeviceID,
	}, nil
}

// devices are both hashes as scripts take them; nothing where the request could show no device, and no second one where it
// could show no id.
func (c clientBinding) devices() []byte {
	if c.notEvaluated {
		return []byte{}
	}
	if c.noID {
		return c.bare[:]
	}
	return append(c.bare[:], c.full[:]...)
}

// networks is the hash as scripts take it; nothing where the request could show no network.
func (c clientBinding) networks() []byte {
	if c.noNetwork {
		return []byte{}
	}
	return c.network[:]
}

// device is the hash that a session is bound to, or is compared with: a device id counts where the login sent one.
func (c clientBinding) device(flags byte) [bindingHashSize]byte {
	if flags&flagDeviceID != 0 {
		return c.full
	}
	return c.bare
}

// boundWith are the flags of a session that is bound to a device: the id counts from then on where one was sent.
func boundWith(d Device) byte {
	if d.ID != "" {
		return flagDeviceID
	}
	return 0
}

// changed tells whether a change of device or network is due to be recorded before the touch interval is over: what
// checkBinding in lua/lib/binding.lua decides for good.
func (s *Store) changed(e entry, c clientBinding) bool {
	stepUpRequired := e.flags&flagStepUpRequired != 0
	due := func(policy Policy, bound, last, seen [bindingHashSize]byte) bool {
		switch {
		case policy == PolicyOff, seen == bound:
			return false
		case policy == PolicyLog, policy == PolicyStepUp && stepUpRequired:
			return seen != last && last == bound
		}
		return true
	}
	shown := !c.notEvaluated && !(c.noID && e.flags&flagDeviceID != 0)
	return shown && due(s.opts.DevicePolicy, e.device, e.lastDevice, c.device(e.flags)) ||
		!c.noNetwork && due(s.opts.NetworkPolicy, e.network, e.lastNetwork, c.network)
}
