package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/lazyregexp"
	"latchkey/shared/session"
	"latchkey/shared/siwe"
)

func setEnvironment(c *Config, value string) error {
	if value != "production" && value != "local" {
		return unknown(value, "production or local")
	}
	c.Local = value == "local"
	return nil
}

// setLogFormat only checks the value: the log is there before the configuration
// is, and reads it itself.
func setLogFormat(_ *Config, value string) error {
	if value != "json" && value != "text" {
		return unknown(value, "json or text")
	}
	return nil
}

// port makes the setter of a port.
func port(field func(*Config) *int) setter {
	return func(c *Config, value string) (err error) {
		*field(c), err = parsePort(value)
		return err
	}
}

var hostName = lazyregexp.New(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)

// setRedisHost never repeats the value: by mistake it may be a URL with a
// password.
func setRedisHost(c *Config, value string) error {
	switch {
	case value == "" && c.Local:
		return nil
	case value == "":
		return errors.New("is needed; set it to the host name of your Redis or Valkey")
	}
	if _, err := netip.ParseAddr(value); err != nil && !hostName().MatchString(value) {
		return errors.New("is not a host name or IP address; set it without scheme, credentials," +
			" port and path, and set the port with REDIS_PORT")
	}
	c.Redis.Host = value
	return nil
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

func setRedisUsername(c *Config, value string) error {
	c.Redis.Username = value
	return nil
}

func setRedisPassword(c *Config, value string) error {
	c.Redis.Password = Secret(value)
	return nil
}

var cacheName = lazyregexp.New(`^[A-Za-z][A-Za-z0-9-]{0,49}$`)

func setCacheName(c *Config, value string) error {
	if value != "" && !cacheName().MatchString(value) {
		return unknown(value, "the name of a cache: a letter, then letters, digits and -")
	}
	c.Redis.CacheName = value
	return nil
}

var keyPrefix = lazyregexp.New(`^[a-z0-9-]{1,16}$`)

func setPrefix(c *Config, value string) error {
	if !keyPrefix().MatchString(value) {
		return unknown(value, "1 to 16 characters of a-z, 0-9 and -")
	}
	c.Session.Prefix = value
	return nil
}

func setChainIDs(c *Config, value string) error {
	var ids []uint64
	for _, item := range list(value) {
		id, ok := parseChainID(item)
		if !ok {
			return unknown(item, "chain ids in decimal, from 1, separated by commas")
		}
		if slices.Contains(ids, id) {
			return fmt.Errorf("has chain id %d twice; remove one", id)
		}
		ids = append(ids, id)
	}
	c.API.ChainIDs = ids
	return nil
}

// maxStatement leaves room for the rest of a message, which may have 4096 bytes
// in all.
const maxStatement = 1024

// setStatement reads one statement, or several with | between them, which no
// statement can have. The first is the one that is offered.
func setStatement(c *Config, value string) error {
	statements := []string{value}
	if strings.Contains(value, "|") {
		statements = strings.Split(value, "|")
	}
	for i, statement := range statements {
		if len(statements) > 1 {
			statements[i] = strings.TrimSpace(statement)
		}
		if err := checkStatement(statements, i); err != nil {
			return err
		}
	}
	c.API.Statement, c.API.OtherStatements = statements[0], statements[1:]
	return nil
}

// checkStatement checks one of several statements against those before it.
func checkStatement(statements []string, i int) error {
	statement := statements[i]
	switch {
	case len(statements) > 1 && statement == "":
		return errors.New("has an empty statement; remove the extra |")
	case len(statement) > maxStatement:
		return fmt.Errorf("has a statement of %d bytes; shorten it to at most %d,"+
			" so that the rest of a message fits", len(statement), maxStatement)
	case !siwe.ValidStatement(statement):
		return errors.New("has a character that EIP-4361 does not allow in a statement;" +
			" use one line of letters, digits, spaces and -._~:/?#[]@!$&'()*+,;=" +
			" and put | between several statements")
	case slices.Contains(statements[:i], statement):
		return quote(statement, "is listed twice; remove one")
	}
	for _, other := range statements {
		if statement == api.StepUpStatement(other) {
			return quote(statement, "is the statement of a step-up, which no login may have; remove it")
		}
	}
	return nil
}

var clearable = []string{"cache", "cookies", "storage", "executionContexts", "clientHints", "*"}

// setClearSiteData makes the header's value: each word in quotes, as the
// Clear-Site-Data specification requires.
func setClearSiteData(c *Config, value string) error {
	var quoted []string
	for _, item := range list(value) {
		if !slices.Contains(clearable, item) {
			return unknown(item, "any of "+strings.Join(clearable, ", "))
		}
		quoted = append(quoted, strconv.Quote(item))
	}
	c.API.ClearSiteData = strings.Join(quoted, ",")
	return nil
}

// flag makes the setter of a switch.
func flag(field func(*Config) *bool) setter {
	return func(c *Config, value string) error {
		switch value {
		case "true", "1":
			*field(c) = true
		case "false", "0":
			*field(c) = false
		default:
			return unknown(value, "true or false")
		}
		return nil
	}
}

var decimal = lazyregexp.New(`^[0-9]{1,9}(\.[0-9]{1,9})?$`)

const (
	day = 24 * time.Hour
	// year bounds the durations of sessions: a longer one is likely a mistake.
	year = 365 * day
)

// span makes the setter of a duration that is written as a decimal number of
// units. It rounds to milliseconds, the resolution of everything that is
// stored.
func span(unit, most time.Duration, field func(*Config) *time.Duration) setter {
	return func(c *Config, value string) error {
		number, err := strconv.ParseFloat(value, 64)
		if err != nil || !decimal().MatchString(value) {
			return unknown(value, "a decimal number above zero, such as 30 or 0.5")
		}
		// Compared before it is a Duration, which would wrap.
		milliseconds := math.Round(number * float64(unit/time.Millisecond))
		if milliseconds < 1 || milliseconds > float64(most/time.Millisecond) {
			return fmt.Errorf("is %s; set it to more than 0 and at most %d", value, most/unit)
		}
		*field(c) = time.Duration(milliseconds) * time.Millisecond
		return nil
	}
}

// spanOrOff is span for a duration that 0 turns off.
func spanOrOff(unit, most time.Duration, field func(*Config) *time.Duration) setter {
	set := span(unit, most, field)
	return func(c *Config, value string) error {
		if value == "0" {
			*field(c) = 0
			return nil
		}
		return set(c, value)
	}
}

// longSpan is span for a duration of at least one unit: a shorter one would
// delete what people have stored, and is likely a mistake.
func longSpan(unit, most time.Duration, field func(*Config) *time.Duration) setter {
	set := span(unit, most, field)
	return func(c *Config, value string) error {
		if err := set(c, value); err != nil {
			return err
		}
		if *field(c) < unit {
			return fmt.Errorf("is %s; set it to 1 or more, and at most %d", value, most/unit)
		}
		return nil
	}
}

// The bounds of counts. A larger number would not limit anything, or would cost
// more in Redis than a session should.
const (
	maxRate            = 100_000
	maxStateQuota      = 256 << 10
	maxActivity        = 500
	maxActivityDays    = 3650
	maxPreferencesDays = 3650
	// A call with less gas than minCallGas can verify no signature. RPCs limit
	// the gas of a call, in general to less than maxCallGas.
	minCallGas = 100_000
	maxCallGas = 100_000_000
	maxQuorum  = 10
)

var digits = lazyregexp.New(`^[0-9]{1,9}$`)

// integer makes the setter of a number from 0 to most. The note says what 0
// means.
func integer(most int, note string, field func(*Config) *int) setter {
	return between(0, most, note, field)
}

// between makes the setter of a number from least to most. The note follows
// both.
func between(least, most int, note string, field func(*Config) *int) setter {
	return func(c *Config, value string) error {
		number, err := strconv.Atoi(value)
		if err != nil || !digits().MatchString(value) || number < least || number > most {
			return unknown(value, fmt.Sprintf("a whole number from %d to %d%s", least, most, note))
		}
		*field(c) = number
		return nil
	}
}

// choice makes the setter of one of a few values.
func choice[T fmt.Stringer](wanted string, field func(*Config) *T, values ...T) setter {
	return func(c *Config, value string) error {
		i := slices.IndexFunc(values, func(v T) bool { return v.String() == value })
		if i < 0 {
			return unknown(value, wanted)
		}
		*field(c) = values[i]
		return nil
	}
}

// policy makes the setter of the policy for a change of device or network.
func policy(field func(*Config) *session.Policy) setter {
	return choice("off, log, step_up or revoke", field,
		session.PolicyOff, session.PolicyLog, session.PolicyStepUp, session.PolicyRevoke)
}

func parsePort(value string) (int, error) {
	number, err := strconv.Atoi(value)
	// Compared as text too, so that "01" and "+1" are refused.
	if err != nil || number < 1 || number > math.MaxUint16 || strconv.Itoa(number) != value {
		return 0, unknown(value, "a port from 1 to 65535")
	}
	return number, nil
}

// list splits at commas and trims spaces around items. An empty text has no
// items.
func list(value string) []string {
	if value == "" {
		return nil
	}
	items := strings.Split(value, ",")
	for i, item := range items {
		items[i] = strings.TrimSpace(item)
	}
	return items
}

// unknown is the problem of a value that is not one of those wanted. A value
// that is long or has an @ is not repeated: it may be a secret in the wrong
// place.
func unknown(value, wanted string) error {
	if len(value) > 40 || strings.Contains(value, "@") {
		return fmt.Errorf("has a value that is not valid; set it to %s", wanted)
	}
	return fmt.Errorf("is %q; set it to %s", value, wanted)
}
