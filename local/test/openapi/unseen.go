package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// see marks the members of a valid value as seen.
func (c *comparison) see(schema string, value any) {
	c.parts(schema, func(part string) bool {
		compiled, err := c.schema(part)
		return err == nil && compiled.Validate(value) == nil
	}, func(part string, s object) {
		for name, v := range members(value) {
			property := at(part, "properties", name)
			if members(s["properties"])[name] != nil {
				c.seen[property] = true
				c.see(property, v)
			} else if s["additionalProperties"] != nil {
				c.see(at(part, "additionalProperties"), v)
			}
		}
		if list, isList := value.([]any); isList && s["items"] != nil {
			for _, v := range list {
				c.see(at(part, "items"), v)
			}
		}
	})
}

// parts visits a schema and those that it combines for the same value. Of
// alternatives, it visits those that apply.
func (d *document) parts(schema string, applies func(string) bool, visit func(string, object)) {
	pointer, s := d.resolve(schema)
	if s == nil {
		return
	}
	visit(pointer, s)
	for _, name := range []string{"allOf", "anyOf", "oneOf"} {
		list, _ := s[name].([]any)
		for i := range list {
			part := at(pointer, name, strconv.Itoa(i))
			if name == "allOf" || applies(part) {
				d.parts(part, applies, visit)
			}
		}
	}
	for _, name := range []string{"then", "else"} {
		if _, has := s[name]; has {
			d.parts(at(pointer, name), applies, visit)
		}
	}
}

// all visits every alternative.
func all(string) bool { return true }

// codes returns the codes that the schemas of a response allow.
func (d *document) codes(response string) (codes []string) {
	schema := at(response, "content", "application/problem+json", "schema")
	isFirst := true
	d.parts(schema, all, func(_ string, s object) {
		allowed, has := listedTexts(members(members(s["properties"])["code"]))
		if !has {
			return
		}
		if isFirst {
			codes, isFirst = allowed, false
			return
		}
		codes = slices.DeleteFunc(codes, func(code string) bool {
			return !slices.Contains(allowed, code)
		})
	})
	return codes
}

// listedTexts returns the texts that a schema lists.
func listedTexts(schema object) (texts []string, has bool) {
	list, has := schema["enum"].([]any)
	if one, isConst := schema["const"]; isConst {
		list, has = []any{one}, true
	}
	for _, value := range list {
		texts = append(texts, fmt.Sprint(value))
	}
	return texts, has
}

// wantAll reports every part of the document that no answer has shown.
func (c *comparison) wantAll() {
	for _, route := range slices.Sorted(maps.Keys(c.routes)) {
		responses := at(c.routes[route], "responses")
		_, statuses := c.resolve(responses)
		for _, status := range slices.Sorted(maps.Keys(statuses)) {
			response, _ := c.resolve(at(responses, status))
			if !c.isGateway(response) {
				c.wantResponse(route+" "+status, response, status == "default")
			}
		}
		c.wantRequest(route)
	}
}

// isGateway reports whether only API Gateway itself gives a response.
func (d *document) isGateway(response string) bool {
	_, types := d.resolve(at(response, "content"))
	for media := range types {
		if !d.isGatewayContent(response, media) {
			return false
		}
	}
	return len(types) > 0
}

func (d *document) isGatewayContent(response, media string) bool {
	pointer, _ := d.resolve(at(response, "content", media, "schema"))
	return strings.HasSuffix(pointer, "/GatewayMessage")
}

// wantResponse reports what no answer has shown of a response. What a default
// has is wanted of any route.
func (c *comparison) wantResponse(name, response string, isDefault bool) {
	if !isDefault && !c.seen[name] {
		c.report("%s: no test saw this status: %s", name, advice)
		return // with all that it has
	}
	for _, code := range c.codes(response) {
		where := name
		if isDefault {
			where = response
		}
		if code != "internal" && !c.seen[where+" "+code] {
			c.report("%s: no test saw the code %s: %s", name, code, advice)
		}
	}
	_, headers := c.resolve(at(response, "headers"))
	for header := range headers {
		if !c.seen[at(response, "headers", header)] {
			c.report("%s: no test saw the header %s: %s", name, header, advice)
		}
	}
	_, types := c.resolve(at(response, "content"))
	for media := range types {
		switch {
		case c.isGatewayContent(response, media):
		case !c.seen[at(response, "content", media)]:
			c.report("%s: no test saw the content type %s: %s", name, media, advice)
		default:
			c.wantFields(name, "", at(response, "content", media, "schema"), map[string]bool{})
		}
	}
}

const advice = "write a test that does, or delete it from " + page

// wantFields reports the members of a schema that no answer had. A schema that
// several routes share is wanted once.
func (c *comparison) wantFields(name, path, schema string, done map[string]bool) {
	c.parts(schema, all, func(part string, s object) {
		if done[part] {
			return
		}
		done[part] = true
		for field := range members(s["properties"]) {
			property := at(part, "properties", field)
			if !c.seen[property] {
				c.report("%s: no test saw the field %s of %s: %s", name, path+field, part, advice)
				continue
			}
			c.wantFields(name, path+field+".", property, done)
		}
		for _, parts := range []string{"items", "additionalProperties"} {
			if members(s[parts]) != nil {
				c.wantFields(name, path, at(part, parts), done)
			}
		}
	})
}
