package gateway

import (
	"iter"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// node is a YAML node that may be absent. An absent node reads as empty, so
// that reading a nested value needs no check at every level.
type node struct{ *yaml.Node }

// at follows mapping keys.
func (n node) at(keys ...string) node {
	for _, key := range keys {
		var found node
		for name, value := range n.entries() {
			if name == key {
				found = value
			}
		}
		n = found
	}
	return n
}

// entries iterates over a mapping, in the order of the file.
func (n node) entries() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		if n.Node == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, node{n.Content[i+1]}.chosen()) {
				return
			}
		}
	}
}

// chosen returns the first choice of an !If, and any other node unchanged.
func (n node) chosen() node {
	if n.Tag == "!If" && len(n.Content) == 3 {
		return node{n.Content[1]}.chosen()
	}
	return n
}

// text returns the text of a scalar. It returns "" for an intrinsic function,
// whose text is not its value.
func (n node) text() string {
	if n.Node == nil || n.Kind != yaml.ScalarNode || n.custom() {
		return ""
	}
	return n.Value
}

// texts returns the items of a list of scalars.
func (n node) texts() []string {
	if n.Node == nil || n.Kind != yaml.SequenceNode || n.custom() {
		return nil
	}
	var items []string
	for _, item := range n.Content {
		items = append(items, node{item}.text())
	}
	return items
}

// custom reports whether a node has a tag of CloudFormation, such as !Ref or
// !Sub.
func (n node) custom() bool {
	return !slices.Contains([]string{
		"", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!seq", "!!map",
	}, n.Tag)
}

func (n node) cors() CORS {
	maxAge, _ := strconv.Atoi(n.at("MaxAge").text())
	return CORS{
		AllowMethods:     n.at("AllowMethods").texts(),
		AllowHeaders:     n.at("AllowHeaders").texts(),
		ExposeHeaders:    n.at("ExposeHeaders").texts(),
		AllowCredentials: n.at("AllowCredentials").text() == "true",
		MaxAge:           maxAge,
	}
}
