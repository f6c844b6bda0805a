package api

import (
	"net/http"
	"strings"

	"latchkey/shared/session"
)

// etag is a version as an entity tag (RFC 9110, section 8.8.3).
func etag(version string) string { return `"` + version + `"` }

// conditions reads If-Match and If-None-Match (RFC 9110, section 13.1). Of the second only the star has a meaning for what
// changes something: the resource must not be there yet.
func conditions(header http.Header) (session.StateCondition, error) {
	versions, err := ifMatch(header)
	if err != nil {
		return session.StateCondition{}, err
	}
	none := header.Values("If-None-Match")
	if len(none) > 0 && strings.TrimSpace(strings.Join(none, ",")) != "*" {
		return session.StateCondition{}, invalid("If-None-Match: must be * here")
	}
	return session.StateCondition{Versions: versions, Absent: len(none) > 0}, nil
}

var (
	tagList = pattern(`^[ \t,]*(?:(?:W/)?"[!#-~\x{80}-\x{10ffff}]*"[ \t]*(?:,[ \t,]*|$))+$`)
	tag     = pattern(`(W/)?"([^"]*)"`)
	ourTag  = pattern(`^[0-9a-z]+$`)
)

// ifMatch lists the versions of an If-Match; "*" stands for any, nil for no such header. A weak tag matches nothing, and
// neither does one that we never made. What stands between tags and gateway may have split the header at its commas.
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
			version = "" // no version of ours is empty
		}
		versions = append(versions, version)
	}
	return versions, nil
}
