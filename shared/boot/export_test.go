package boot

import "latchkey/shared/seal"

// Has reports whether the service's key ring has a key.
func (s *Service) Has(id seal.KeyID) bool { return s.keys.Ring().Has(id) }
