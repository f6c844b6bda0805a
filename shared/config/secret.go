package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"latchkey/shared/lazyregexp"
	"latchkey/shared/seal"
)

// Secret is a value that must not be shown. Formatting, logging and encoding
// give a placeholder instead; string(s) is the value.
type Secret string

const hidden = "[secret]"

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

const howToMake = "make one with: openssl rand -base64 32"

var secretARN = lazyregexp.New(`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$`)

// setSecretARN makes the setter of a variable that names a secret of Secrets
// Manager. A value that is not an ARN is stored too: otherwise a second problem
// would ask for the variables that it replaces.
func setSecretARN(field func(*Config) *string) setter {
	return func(c *Config, value string) error {
		*field(c) = value
		return checkSecretARN(value)
	}
}

// checkSecretARN accepts an ARN of a secret and the empty value. Its error does
// not repeat the value, which may be the secret itself.
func checkSecretARN(value string) error {
	if value != "" && !secretARN().MatchString(value) {
		return errors.New("is not the ARN of a secret;" +
			" write it as arn:aws:secretsmanager:<region>:<account>:secret:<name>")
	}
	return nil
}

// LoadKeysSecretARN reads SESSION_KEYS_SECRET_ARN alone, for the function that
// rotates keys and needs nothing else. The error names the variable and does
// not repeat its value.
func LoadKeysSecretARN(getenv func(string) string) (string, error) {
	arn := getenv("SESSION_KEYS_SECRET_ARN")
	err := checkSecretARN(arn)
	if arn == "" {
		err = errors.New("is needed; set it to the ARN of the secret whose keys are rotated")
	}
	if err != nil {
		return "", fmt.Errorf("SESSION_KEYS_SECRET_ARN: %w", err)
	}
	return arn, nil
}

// replaced checks a variable that SESSION_KEYS_SECRET_ARN replaces.
func replaced(value string) error {
	if value != "" {
		return errors.New("is set together with SESSION_KEYS_SECRET_ARN, which replaces it;" +
			" set only one of them")
	}
	return nil
}

func setSessionSecret(c *Config, value string) error {
	if c.KeysSecretARN != "" {
		return replaced(value)
	}
	if value == "" {
		return c.generate("SESSION_SECRET", &c.SessionSecret)
	}
	if len(value) < seal.MinSecret {
		return fmt.Errorf("has %d bytes and needs at least %d; %s",
			len(value), seal.MinSecret, howToMake)
	}
	if problem := Weakness(value); problem != "" && !c.Local {
		return fmt.Errorf("%s; %s", problem, howToMake)
	}
	c.SessionSecret = Secret(value)
	return nil
}

func setEncryptionKey(c *Config, value string) error {
	if c.KeysSecretARN != "" {
		return replaced(value)
	}
	if value == "" {
		return c.generate("SESSION_ENCRYPTION_KEY", &c.EncryptionKey)
	}
	key, ok := decodeKey(value)
	if !ok {
		return fmt.Errorf("is not %d bytes, neither as text nor decoded from base64 or hex; %s",
			seal.EncryptionKey, howToMake)
	}
	for _, form := range []string{value, string(key)} {
		if form == string(c.SessionSecret) {
			return fmt.Errorf("is the same as SESSION_SECRET; %s", howToMake)
		}
		if problem := Weakness(form); problem != "" && !c.Local {
			return fmt.Errorf("%s; %s", problem, howToMake)
		}
	}
	c.EncryptionKey = Secret(key)
	return nil
}

// generate draws a secret for a variable that is not set. It does so only in a
// local process, where it does no harm to lose all sessions at the end.
func (c *Config) generate(name string, secret *Secret) error {
	if !c.Local {
		return errors.New("is needed; " + howToMake)
	}
	drawn := make([]byte, seal.EncryptionKey)
	_, _ = rand.Read(drawn) // never fails: without randomness it ends the process
	*secret = Secret(drawn)
	c.Generated = append(c.Generated, name)
	return nil
}

// decodeKey reads 32 bytes that are written as they are, in hex, or in either
// base64 alphabet with or without padding. The three differ in length, so no
// value has two readings.
func decodeKey(value string) ([]byte, bool) {
	switch len(value) {
	case seal.EncryptionKey:
		return []byte(value), true
	case hex.EncodedLen(seal.EncryptionKey):
		key, err := hex.DecodeString(value)
		return key, err == nil
	}
	alphabet := base64.RawStdEncoding
	if strings.ContainsAny(value, "-_") {
		alphabet = base64.RawURLEncoding
	}
	key, err := alphabet.Strict().DecodeString(strings.TrimSuffix(value, "="))
	return key, err == nil && len(key) == seal.EncryptionKey
}

// minDistinct is how many different bytes a secret must have. 32 random bytes,
// and 32 random digits of hex, have fewer than once in a million draws.
const minDistinct = 8

// Weakness says what is plainly wrong with a secret, in the form "repeats a
// shorter text". It is empty if nothing is. It does not measure entropy: it
// catches secrets that were copied from a document or typed to pass a length
// check. It does not repeat the secret.
func Weakness(secret string) string {
	distinct, lower := map[byte]bool{}, strings.ToLower(secret)
	steps := 0
	for i := range len(secret) {
		distinct[secret[i]] = true
		if i > 0 && secret[i] == secret[i-1]+1 {
			steps++
		}
	}
	switch {
	case slices.ContainsFunc(samples, func(s string) bool { return strings.Contains(lower, s) }):
		return "is an example from a document, which anybody can read"
	case len(distinct) < minDistinct:
		return fmt.Sprintf("has fewer than %d different characters", minDistinct)
	case strings.Contains((secret + secret)[1:2*len(secret)-1], secret):
		return "repeats a shorter text" // only such a text is found inside its own double
	case steps > len(secret)/2:
		return "counts through the alphabet"
	}
	return ""
}

// samples are fragments, in lower case, of the secrets that documents,
// templates and tutorials give as examples. Each is long enough that no random
// secret will ever hold it. A secret that contains one, in upper or lower case,
// is weak. A secret that this project's own documents show must contain one.
var samples = []string{
	"0123456789abcdef0123456789abcdef", "0123456789abcdef", "1234567890123456", "abcdefghijklmnop",
	"change-me", "change_me", "changeme", "change-this", "change_this", "changethis", "changeit",
	"replace-me", "replace_me", "replaceme", "replace-this", "replace_with", "replace-with",
	"your-32", "your_32", "your-secret", "your_secret", "your-session", "your_session",
	"your-encryption", "your_encryption", "your-super", "your_super", "your-key", "your_key",
	"yoursecret",
	"example", "placeholder", "sample", "development", "keyboard cat", "password", "lorem ipsum",
	"super-secret", "super_secret", "supersecret", "my-secret", "my_secret", "mysecret",
	"top-secret", "topsecret", "not-a-secret", "not-secret", "insecure",
	"session-secret", "session_secret", "encryption-key", "encryption_key",
	"00000000000000000000000000000000",
}
