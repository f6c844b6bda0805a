package stack_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// durable are the parameters of a cache that keeps what it acknowledges.
var durable = ways["durable nodes"]

// An update of a stack that exists gives a new parameter its default. With the
// defaults the nodes are as they were before the parameters of durability.
func TestStack_nodesAreUnchangedByDefault(t *testing.T) {
	s := deploy(t, "CacheMode=replication-group")
	_, nodes := s.one(t, "AWS::ElastiCache::ReplicationGroup")
	want := map[string]string{
		"Engine": "valkey", "EngineVersion": "8.0", "CacheNodeType": "cache.t4g.small", "AutoMinorVersionUpgrade": "true",
		"ClusterMode": "enabled", "NumNodeGroups": "1", "ReplicasPerNodeGroup": "1",
		"AutomaticFailoverEnabled": "true", "MultiAZEnabled": "true",
		"TransitEncryptionEnabled": "true", "TransitEncryptionMode": "required", "AtRestEncryptionEnabled": "true",
		"CacheParameterGroupName": ref("NodesParameters"), "CacheSubnetGroupName": ref("NodesSubnets"),
		"SecurityGroupIds": `[{"Ref":"CacheGroup"}]`, "UserGroupIds": `[{"Ref":"CacheUsers"}]`,
		"ReplicationGroupId": ref("CacheUser"), "SnapshotRetentionLimit": "1",
		"ReplicationGroupDescription": "Sessions of ${AWS::StackName}",
	}
	expect(t, "the nodes", nodes, want)
	for property := range nodes.value.(map[string]any) {
		if _, known := want[property]; !known {
			t.Errorf("the nodes also have %s", property)
		}
	}
	_, parameters := s.one(t, "AWS::ElastiCache::ParameterGroup")
	expect(t, "the parameter group", parameters, map[string]string{
		"CacheParameterGroupFamily": "valkey8", "Description": "Of the cache of ${AWS::StackName}",
		"Properties": `{"cluster-enabled":"yes","maxmemory-policy":"noeviction"}`,
	})
}

func TestStack_durableNodes(t *testing.T) {
	s := deploy(t, durable...)
	_, nodes := s.one(t, "AWS::ElastiCache::ReplicationGroup")
	expect(t, "the nodes", nodes, map[string]string{
		"EngineVersion": "9.0", "Durability": "sync", "CacheNodeType": "cache.r7g.large", "ReplicasPerNodeGroup": "1",
		"MultiAZEnabled": "true", "ClusterMode": "enabled", "TransitEncryptionEnabled": "true",
	})
	for _, durability := range []string{"async", "disabled", "default"} {
		_, nodes = deploy(t, append(slices.Clone(durable), "CacheDurability="+durability)...).one(t, "AWS::ElastiCache::ReplicationGroup")
		expect(t, "the nodes", nodes, map[string]string{"Durability": durability})
	}
}

// ElastiCache refuses a parameter group of another family than the engine's.
func TestStack_parameterGroupFollowsTheEngine(t *testing.T) {
	for version, family := range map[string]string{"7.2": "valkey7", "8.2": "valkey8", "9.0": "valkey9", "10.1": "valkey10"} {
		_, parameters := deploy(t, "CacheMode=replication-group", "CacheEngineVersion="+version).one(t, "AWS::ElastiCache::ParameterGroup")
		expect(t, "the parameter group of "+version, parameters, map[string]string{"CacheParameterGroupFamily": family})
	}
}

func TestStack_durabilityThatDoesNotFit(t *testing.T) {
	const engine, node, mode = "needs CacheEngineVersion 9.0 or later", "needs a larger CacheNodeType", "needs CacheMode=replication-group"
	for change, want := range map[string]string{
		"CacheEngineVersion=7.2":       engine,
		"CacheEngineVersion=8.0":       engine,
		"CacheEngineVersion=8.1":       engine,
		"CacheEngineVersion=8.2":       engine,
		"CacheNodeType=cache.t3.micro": node, "CacheNodeType=cache.t3.small": node, "CacheNodeType=cache.t3.medium": node,
		"CacheNodeType=cache.t4g.micro": node, "CacheNodeType=cache.t4g.small": node, "CacheNodeType=cache.t4g.medium": node,
		"CacheMode=serverless": mode,
		"CacheMode=existing":   mode,
	} {
		for _, durability := range []string{"sync", "async"} {
			parameters := append(slices.Clone(durable), "CacheDurability="+durability, "RedisHost=redis.example.com", change)
			if got := refusals(t, parameters...); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s with %s is refused with %q, want %q", durability, change, got, want)
			}
		}
	}
	// Without a replica: the parameter itself refuses 0.
	if least := at(template(t), "Parameters", "CacheReplicas", "MinValue").String(); least != "1" {
		t.Errorf("CacheReplicas may be %s", least)
	}
}

// The list of what fits grows at AWS, so the template has none.
func TestStack_durabilityThatMayFit(t *testing.T) {
	for _, change := range []string{
		"CacheDurability=async", "CacheEngineVersion=9.1", "CacheEngineVersion=10.0", "CacheReplicas=2",
		"CacheNodeType=cache.r6g.large", "CacheNodeType=cache.m7g.large", "CacheNodeType=cache.r9g.large",
	} {
		if got := refusals(t, append(slices.Clone(durable), change)...); len(got) > 0 {
			t.Errorf("%s is refused with %q", change, got)
		}
	}
	for _, without := range []string{"", "disabled", "default"} {
		if got := refusals(t, "CacheMode=replication-group", "CacheDurability="+without); len(got) > 0 {
			t.Errorf("the default nodes with CacheDurability=%s are refused with %q", without, got)
		}
	}
}

func TestStack_rulesTakeEveryWay(t *testing.T) {
	for name, parameters := range ways {
		if got := refusals(t, parameters...); len(got) > 0 {
			t.Errorf("%s is refused with %q", name, got)
		}
	}
	if got := refusals(t, "CacheMode=existing"); len(got) != 1 || got[0] != "CacheMode=existing needs RedisHost." {
		t.Errorf("CacheMode=existing alone is refused with %q", got)
	}
}

// refusals returns what CloudFormation says of parameters that a rule of the
// template refuses, in the form Name=Value.
func refusals(t *testing.T, parameters ...string) (descriptions []string) {
	t.Helper()
	r := newResolver(template(t), append([]string{"SiweDomains=app.example.com"}, parameters...)...)
	rules, _ := at(r.template, "Rules").value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		rule := node{rules[name]}
		if condition := rule.at("RuleCondition"); condition.value != nil && r.resolve(condition.value) != true {
			continue
		}
		for _, assertion := range rule.at("Assertions").list() {
			if r.resolve(assertion.at("Assert").value) != true {
				descriptions = append(descriptions, assertion.at("AssertDescription").String())
			}
		}
	}
	return descriptions
}
