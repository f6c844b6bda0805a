package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"latchkey/shared/api"
	"latchkey/shared/lazyregexp"
	"latchkey/shared/token"
)

// Bounds of the list of service keys. A name has two keys while it rotates.
const (
	maxServiceKeys = 32
	keysOfName     = 2
)

var serviceName = lazyregexp.New(`^[a-z0-9][a-z0-9-]{0,31}$`)

const serviceNameRule = "has 1 to 32 of a-z, 0-9 and -, and does not begin with -"

// ServiceKeyItem returns the item of SERVICE_KEYS for a service key of the
// backend name.
func ServiceKeyItem(name, key string) (string, error) {
	if !serviceName().MatchString(name) {
		return "", fmt.Errorf("the name %q is not valid: it %s", name, serviceNameRule)
	}
	hash, err := token.ServiceKeyHash(key)
	if err != nil {
		return "", fmt.Errorf("hashing the service key: %w", err)
	}
	return fmt.Sprintf("%s=%x", name, hash), nil
}

// setServiceKeys reads the hashes of service keys. No error repeats what may be
// a key.
func setServiceKeys(c *Config, value string) error {
	items := list(value)
	if len(items) > maxServiceKeys {
		return fmt.Errorf("has %d keys; at most %d are allowed", len(items), maxServiceKeys)
	}
	keys := map[string]int{}
	var services []api.Service
	for _, item := range items {
		service, err := parseService(item)
		if err != nil {
			return err
		}
		for _, other := range services {
			if other.Hash == service.Hash {
				return quote(service.Name, "has a key that is listed twice; remove one")
			}
		}
		if keys[service.Name]++; keys[service.Name] > keysOfName {
			return quote(service.Name, "has more than two keys: remove the oldest")
		}
		services = append(services, service)
	}
	c.API.Services = services
	return nil
}

func parseService(item string) (s api.Service, err error) {
	if strings.Contains(item, token.ServiceKeyPrefix) {
		return s, errors.New("has a service key itself, not its SHA-256: anybody who can read the " +
			"configuration has it now. Make another with make service-key, which prints both")
	}
	name, digest, _ := strings.Cut(item, "=")
	if !serviceName().MatchString(name) {
		return s, errors.New("has an item without a valid name: write name=SHA-256, where the name " +
			serviceNameRule)
	}
	raw, err := hex.DecodeString(digest)
	if err != nil || len(raw) != sha256.Size || hex.EncodeToString(raw) != digest {
		return s, quote(name, "has no SHA-256 in 64 lower-case hexadecimal digits after =: "+
			"make service-key prints it")
	}
	return api.Service{Name: name, Hash: [sha256.Size]byte(raw)}, nil
}
