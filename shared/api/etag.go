package api

import (
	"net/http"
	"strings"

	"latchkey/shared/lazyregexp"
	"latchkey/shared/session"
)

// etag returns a version as an entity tag (RFC 9110, section 8.8.3).
func etag(version string) string { return `"` + version + `"` }

// conditions reads If-Match and If-None-Match (RFC 9110, section 13.1). For a
// write only the star has a meaning in the second: the resource must not exist
// yet.
func conditions(header http.Header) (session.StateCondition, error) {
	versions, err := ifMatch(header)
	if err != nil {
		return session.StateCondition{}, err
	}
	none := header.Values("If-None-Match")
	if len(none) > 0 && strings.TrimSpace(strings.Join(none, ",")) != "*" {
		return session.StateCondition{}, invalid("If-None-Match: must be *")
	}
	return session.StateCondition{Versions: versions, Absent: len(none) > 0}, nil
}

var (
	tagList = lazyregexp.New(`^[ \t,]*(?:(?:W/)?"[!#-~\x{80}-\x{10ffff}]*"[ \t]*(?:,[ \t,]*|$))+$`)
	tag     = lazyregexp.New(`(W/)?"([^"]*)"`)
	ourTag  = lazyregexp.New(`^[0-9a-z]+$`)
)

// ifMatch returns the versions of If-Match; "*" stands for any version, nil for
// no such header. A weak tag matches nothing, and neither does one that we
// never issued. A proxy or the gateway may have split the header at its commas,
// so the parts are joined first.
func ifMatch(header http.Header) ([]string, error) {
	values := header.Values("If-Match")
	if len(values) == 0 {
		return nil, nil
	}
	text := strings.TrimSpace(strings.Join(values, ","))
	if text == "*" {
		return []string{"*"}, nil
	}
	if !tagList().MatchString(text) {
		return nil, invalid("If-Match: must be * or a list of entity tags in quotes")
	}
	var versions []string
	for _, found := range tag().FindAllStringSubmatch(text, -1) {
		version := found[2]
		if found[1] != "" || !ourTag().MatchString(version) {
			version = "" // matches nothing: no version is empty
		}
		versions = append(versions, version)
	}
	return versions, nil
}
