// Package stack_test holds template.yaml against what a deployed stack must be: it has SAM expand the template, decides its
// conditions for each way to deploy it, and looks at the resources.
package stack_test

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/local/gateway"
	"latchkey/shared/config"
)

// Secrets that are there already.
const (
	keysARN     = "arn:aws:secretsmanager:us-east-1:000000000000:secret:keys"
	passwordARN = "arn:aws:secretsmanager:us-east-1:000000000000:secret:password"
	originARN   = "arn:aws:secretsmanager:us-east-1:000000000000:secret:cdn"
	rpcARN      = "arn:aws:secretsmanager:us-east-1:000000000000:secret:rpc"
)

// ways are the ways to deploy, by the parameters that tell them apart.
var ways = map[string][]string{
	"serverless":         {},
	"nodes":              {"CacheMode=replication-group"},
	"durable nodes":      {"CacheMode=replication-group", "CacheEngineVersion=9.0", "CacheDurability=sync", "CacheNodeType=cache.r7g.large"},
	"given network":      {"CreateVpc=false", "SubnetIds=subnet-a,subnet-b", "VpcId=vpc-1"},
	"given groups":       {"CreateVpc=false", "SubnetIds=subnet-a,subnet-b", "SecurityGroupIds=sg-1,sg-2", "CacheMode=replication-group"},
	"existing, public":   {"CacheMode=existing", "RedisHost=redis.example.com", "RedisPasswordSecretArn=" + passwordARN},
	"existing, in a VPC": {"CacheMode=existing", "RedisHost=redis.example.com", "RedisPasswordSecretArn=" + passwordARN, "SubnetIds=subnet-a,subnet-b", "SecurityGroupIds=sg-1"},
	"existing keys":      {"SessionKeysSecretArn=" + keysARN},
	"behind a CDN":       {"OriginVerifySecretArn=" + originARN, "ClientAddressHeader=cloudfront-viewer-address"},
	"contract wallets":   contractWallets,
	"admin console":      withConsole,
	"events to a bus":    {"Events=eventbridge"},
	"events to a given":  slices.Concat([]string{"CacheMode=existing", "RedisHost=redis.example.com", "RedisPasswordSecretArn=" + passwordARN}, givenBus),
	"events to a hook":   slices.Concat([]string{"CreateVpc=false", "SubnetIds=subnet-a,subnet-b", "VpcId=vpc-1"}, webhook),
	"custom domain":      {"DomainName=api.example.com", "CertificateArn=arn:certificate", "HostedZoneId=Z1"},
}

// each runs a test for each way.
func each(t *testing.T, test func(t *testing.T, s stack, way string)) {
	for name, parameters := range ways {
		t.Run(name, func(t *testing.T) {
			test(t, deploy(t, append([]string{"SiweDomains=app.example.com"}, parameters...)...), name)
		})
	}
}

// function names.
const (
	rotation   = "RotateKeysFunction"
	sweeper    = "SweepSessionsFunction"
	authorizer = "AuthorizerFunction"
	verifier   = "VerifySignatureFunction"
	describing = "GetOpenapiFunction"
	console    = "ServeConsoleFunction"
	publisher  = "PublishEventsFunction"
)

// servesFiles reports whether a function has neither cache nor keys, and can lose nothing.
func servesFiles(id string) bool { return id == describing || id == console }

func is(way string, ways ...string) bool { return slices.Contains(ways, way) }

func isExisting(way string) bool { return isPublic(way) || is(way, "existing, in a VPC") }

// isPublic reports whether no function is in a VPC.
func isPublic(way string) bool { return is(way, "existing, public", "events to a given") }

func hasEvents(way string) bool { return strings.HasPrefix(way, "events ") }

func hasNodes(way string) bool { return is(way, "nodes", "durable nodes", "given groups") }

func TestStack_functions(t *testing.T) {
	each(t, func(t *testing.T, s stack, way string) {
		functions := s.of("AWS::Lambda::Function")
		want := cmp.Or(map[string]int{"existing keys": 33, "contract wallets": 35, "admin console": 35}[way], 34)
		if hasEvents(way) {
			want++
		}
		if len(functions) != want {
			t.Errorf("%d functions, want %d", len(functions), want)
		}
		logged := map[string]bool{}
		for id, f := range functions {
			expect(t, id, f, map[string]string{
				"Runtime": "provided.al2023", "Architectures/0": "arm64", "ReservedConcurrentExecutions": "null",
				"Role": attribute(strings.TrimSuffix(id, "Function")+"Role", "Arn"),
			})
			group := f.at("LoggingConfig", "LogGroup", "Ref").String()
			if logged[group] {
				t.Errorf("%s shares its log group", id)
			}
			logged[group] = true
			expect(t, id+"'s log group", s.resources[group], map[string]string{"Type": "AWS::Logs::LogGroup", "Properties/RetentionInDays": "30"})
		}
	})
	for id, f := range deploy(t, "ReservedConcurrency=7", "Architecture=x86_64").of("AWS::Lambda::Function") {
		expect(t, id, f, map[string]string{"ReservedConcurrentExecutions": "7", "Architectures/0": "x86_64"})
	}
}

func TestStack_logsAreKeptForATime(t *testing.T) {
	for id, group := range deploy(t, "LogRetentionDays=90").of("AWS::Logs::LogGroup") {
		expect(t, id, group, map[string]string{"RetentionInDays": "90"})
	}
}

// eni is what Lambda needs to put a function into a VPC, on the only resource that EC2 has for it.
var eni = []string{"ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
	"ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"}

// permissions are the statements of a role, each as "Effect actions on resources".
func permissions(t *testing.T, s stack, id string, role node) []string {
	t.Helper()
	documents := []node{}
	for _, policy := range role.at("Policies").list() {
		documents = append(documents, policy.at("PolicyDocument"))
	}
	for _, arn := range role.at("ManagedPolicyArns").list() {
		policy, ok := s.of("AWS::IAM::ManagedPolicy")[arn.at("Ref").String()]
		if !ok {
			t.Errorf("%s has the policy %s, which is none of this stack's", id, arn)
		}
		documents = append(documents, policy.at("PolicyDocument"))
	}
	found := []string{}
	for _, document := range documents {
		for _, statement := range document.at("Statement").list() {
			found = append(found, describe(statement))
		}
	}
	slices.Sort(found)
	return found
}

func describe(statement node) string {
	texts := func(nodes []node) string {
		all := []string{}
		for _, n := range nodes {
			all = append(all, n.String())
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	text := statement.at("Effect").String() + " " + texts(statement.at("Action").list()) + " on " + texts(statement.at("Resource").list())
	if condition := statement.at("Condition"); condition.value != nil {
		text += " if " + condition.String()
	}
	return text
}

// granted are the permissions that a function is to have, and no other.
func granted(id, way string) []string {
	name := strings.TrimSuffix(id, "Function")
	want := []string{"Allow logs:CreateLogStream logs:PutLogEvents on " + attribute(name+"Logs", "Arn")}
	if id == rotation {
		return append(want, "Allow secretsmanager:DescribeSecret secretsmanager:GetSecretValue secretsmanager:PutSecretValue secretsmanager:UpdateSecretVersionStage on "+ref("SessionKeys"))
	}
	if servesFiles(id) {
		return want
	}
	if id == verifier {
		return append(want, "Allow secretsmanager:GetSecretValue on "+rpcARN)
	}
	if way == "contract wallets" && slices.Contains(verifying, id) {
		want = append(want, "Allow lambda:InvokeFunction on "+attribute(verifier, "Arn"))
	}
	if id == publisher {
		want = append(want, map[string]string{
			"events to a bus":   "Allow events:PutEvents on " + attribute("EventBus", "Arn"),
			"events to a given": "Allow events:PutEvents on " + busARN,
			"events to a hook":  "Allow secretsmanager:GetSecretValue on " + webhookARN,
		}[way])
	}
	keys := ref("SessionKeys")
	if way == "existing keys" {
		keys = keysARN
	}
	want = append(want, "Allow secretsmanager:GetSecretValue on "+keys)
	if isExisting(way) {
		want = append(want, "Allow secretsmanager:GetSecretValue on "+passwordARN)
	}
	if way == "behind a CDN" {
		want = append(want, "Allow secretsmanager:GetSecretValue on "+originARN)
	}
	switch {
	case isExisting(way):
	case hasNodes(way):
		want = append(want, "Allow elasticache:Connect on arn:${AWS::Partition}:elasticache:${AWS::Region}:${AWS::AccountId}:replicationgroup:${CacheUser} "+attribute("CacheUser", "Arn"))
	default:
		want = append(want, "Allow elasticache:Connect on "+attribute("Cache", "ARN")+" "+attribute("CacheUser", "Arn"))
	}
	if !isPublic(way) {
		want = append(want, "Allow "+strings.Join(eni, " ")+" on *",
			"Deny "+strings.Join(eni, " ")+` on * if {"ArnLike":{"lambda:SourceFunctionArn":"arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:*"}}`)
	}
	return want
}

func TestStack_roles(t *testing.T) {
	each(t, func(t *testing.T, s stack, way string) {
		roles := s.of("AWS::IAM::Role")
		for id := range s.of("AWS::Lambda::Function") {
			name := strings.TrimSuffix(id, "Function") + "Role"
			role, ok := roles[name]
			if !ok {
				t.Errorf("%s has no role of its own", id)
				continue
			}
			delete(roles, name)
			expect(t, name, role, map[string]string{
				"AssumeRolePolicyDocument/Statement": `[{"Action":"sts:AssumeRole","Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"}}]`,
			})
			want := granted(id, way)
			slices.Sort(want)
			if got := permissions(t, s, name, role); !slices.Equal(got, want) {
				t.Errorf("%s may\n%s\nand should\n%s", id, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		// What is left is the scheduler's.
		scheduled := []string{sweeper}
		if hasEvents(way) {
			scheduled = append(scheduled, publisher)
		}
		for _, id := range scheduled {
			name := id + "ScheduleRole"
			want := []string{"Allow lambda:InvokeFunction on " + attribute(id, "Arn")}
			if got := permissions(t, s, name, roles[name]); len(roles) != len(scheduled) || !slices.Equal(got, want) {
				t.Errorf("%s may %s", name, got)
			}
		}
	})
}

// TestStack_nothingIsAllowedEverywhere looks at every policy of the stack, whosever it is.
func TestStack_nothingIsAllowedEverywhere(t *testing.T) {
	each(t, func(t *testing.T, s stack, _ string) {
		for id, resource := range s.resources {
			for _, action := range texts(resource, "Action") {
				if strings.Contains(action, "*") {
					t.Errorf("%s allows %s", id, action)
				}
			}
			if slices.Contains(texts(resource, "Resource"), "*") && id != "VpcPolicy" {
				t.Errorf("%s has the resource *", id)
			}
			if text := resource.String(); strings.Contains(text, ":aws:policy/") {
				t.Errorf("%s has a policy of AWS's own", id)
			}
		}
	})
}

// texts are the values of every mapping entry of that name, however deep.
func texts(n node, name string) []string {
	found := []string{}
	switch v := n.value.(type) {
	case []any:
		for _, item := range v {
			found = append(found, texts(node{item}, name)...)
		}
	case map[string]any:
		for key, value := range v {
			if key == name {
				for _, item := range (node{value}).list() {
					found = append(found, item.String())
				}
			}
			found = append(found, texts(node{value}, name)...)
		}
	}
	return found
}

// readers are the functions that read a variable which stands in them alone.
var readers = map[string][]string{
	"SIWE_NONCE_MINUTES": {"IssueNonceFunction", "LogInFunction", "StepUpFunction"},
	"SERVICE_KEYS":       {"ValidateSessionFunction"},
	"CONSOLE":            {console},
	"EVENT_BUS":          {publisher}, "EVENT_DETAILS": {publisher}, "EVENT_WEBHOOK_URL": {publisher},
	"EVENT_WEBHOOK_SECRET": {publisher}, "EVENT_WEBHOOK_SECRET_ARN": {publisher},
}

func TestStack_environment(t *testing.T) {
	var want []string
	for _, v := range config.Variables() {
		ofLocal := []string{"PORT", "LOG_FORMAT", "CORS_ALLOW_HEADERS"} // the local server's alone
		if !slices.Contains(slices.Concat(ofLocal, ofContracts), v.Name) && readers[v.Name] == nil {
			want = append(want, v.Name)
		}
	}
	byWay := map[string]map[string]string{
		"serverless": {
			"REDIS_HOST": attribute("Cache", "Endpoint.Address"), "REDIS_PORT": attribute("Cache", "Endpoint.Port"), "REDIS_CACHE_NAME": ref("Cache"),
			"REDIS_TLS": "true", "REDIS_IAM": "true", "REDIS_SERVERLESS": "true", "REDIS_CLUSTER": "false",
			"REDIS_USERNAME": ref("CacheUser"), "REDIS_PASSWORD": "", "REDIS_PASSWORD_SECRET_ARN": "", "SESSION_KEYS_SECRET_ARN": ref("SessionKeys"),
		},
		"nodes": {
			"REDIS_HOST": attribute("Nodes", "ConfigurationEndPoint.Address"), "REDIS_PORT": attribute("Nodes", "ConfigurationEndPoint.Port"), "REDIS_CACHE_NAME": ref("Nodes"),
			"REDIS_TLS": "true", "REDIS_IAM": "true", "REDIS_SERVERLESS": "false", "REDIS_CLUSTER": "true",
			"REDIS_USERNAME": ref("CacheUser"), "REDIS_PASSWORD": "", "REDIS_PASSWORD_SECRET_ARN": "",
		},
		"existing, public": {
			"REDIS_HOST": "redis.example.com", "REDIS_PORT": "6379", "REDIS_CACHE_NAME": "", "REDIS_TLS": "true", "REDIS_IAM": "false",
			"REDIS_SERVERLESS": "false", "REDIS_CLUSTER": "false", "REDIS_USERNAME": "", "REDIS_PASSWORD": "", "REDIS_PASSWORD_SECRET_ARN": passwordARN,
		},
		"existing, in a VPC": {"REDIS_PASSWORD": "", "REDIS_PASSWORD_SECRET_ARN": passwordARN},
		"existing keys":      {"SESSION_KEYS_SECRET_ARN": keysARN},
		"behind a CDN":       {"ORIGIN_VERIFY_SECRET_ARN": originARN, "CLIENT_ADDRESS_HEADER": "cloudfront-viewer-address"},
	}
	each(t, func(t *testing.T, s stack, way string) {
		for id, f := range s.of("AWS::Lambda::Function") {
			if id == verifier || id == console { // TestStack_verifier and TestStack_console have all of it
				continue
			}
			if id == describing { // it is told nothing
				expect(t, id, f, map[string]string{"Environment/Variables": `{"APP_ENV":"production"}`})
				continue
			}
			variables := f.at("Environment", "Variables")
			for _, name := range want {
				if variables.at(name).value == nil {
					t.Errorf("%s has no variable %s", id, name)
				}
			}
			for name, functions := range readers {
				if has := variables.at(name).value != nil; has != slices.Contains(functions, id) {
					t.Errorf("%s has the variable %s: %t", id, name, has)
				}
			}
			// Secrets are fetched, not told.
			expect(t, id, variables, map[string]string{"SESSION_SECRET": "", "SESSION_ENCRYPTION_KEY": "", "ORIGIN_VERIFY_SECRET": "", "APP_ENV": "production"})
			if way != "behind a CDN" {
				expect(t, id, variables, map[string]string{"ORIGIN_VERIFY_SECRET_ARN": "", "CLIENT_ADDRESS_HEADER": ""})
			}
			expect(t, id, variables, byWay[way])
		}
	})
}

func TestStack_serverlessCache(t *testing.T) {
	_, cache := deploy(t, "CacheMaxGigabytes=9", "CacheMaxEcpuPerSecond=2000").one(t, "AWS::ElastiCache::ServerlessCache")
	expect(t, "the cache", cache, map[string]string{
		"Engine": "valkey", "MajorEngineVersion": "8", "ServerlessCacheName": ref("CacheUser"), "UserGroupId": ref("CacheUsers"),
		"CacheUsageLimits": `{"DataStorage":{"Maximum":"9","Unit":"GB"},"ECPUPerSecond":{"Maximum":"2000"}}`,
		"SubnetIds":        `[{"Ref":"SubnetA"},{"Ref":"SubnetB"}]`, "SecurityGroupIds": `[{"Ref":"CacheGroup"}]`,
	})
}

func TestStack_existingCacheIsLeftAlone(t *testing.T) {
	for id, resource := range deploy(t, ways["existing, public"]...).resources {
		if kind := resource.at("Type").String(); strings.HasPrefix(kind, "AWS::ElastiCache::") || strings.HasPrefix(kind, "AWS::EC2::") {
			t.Errorf("%s is a %s", id, kind)
		}
	}
}

// spoken are the commands that the connection itself takes, and those that stand for several calls of the client.
var spoken = []string{"eval", "evalsha", "multi", "exec", "cluster|slots", "command", "asking"}

func TestStack_cacheUser(t *testing.T) {
	s := deploy(t, "RedisKeyPrefix=stage")
	_, user := s.one(t, "AWS::ElastiCache::User")
	expect(t, "the user", user, map[string]string{
		"Engine": "valkey", "AuthenticationMode": `{"Type":"iam"}`, "UserName": user.at("UserId").String(),
	})
	if id := user.at("UserId").String(); !strings.HasPrefix(id, "latchkey-") {
		t.Errorf("the user is %s", id)
	}
	_, group := s.one(t, "AWS::ElastiCache::UserGroup")
	expect(t, "its group", group, map[string]string{"Engine": "valkey", "UserIds": `[{"Ref":"CacheUser"}]`})

	rules := strings.Fields(user.at("AccessString").String())
	if !slices.Equal(rules[:4], []string{"on", "~stage:*", "resetchannels", "-@all"}) {
		t.Errorf("the access string begins %s", rules[:4])
	}
	allowed := []string{}
	for _, rule := range rules[4:] {
		command, isAllowed := strings.CutPrefix(rule, "+")
		if !isAllowed || strings.HasPrefix(command, "@") {
			t.Errorf("the access string has %s", rule)
		}
		allowed = append(allowed, command)
	}
	scripts, calls := used(t)
	for _, command := range scripts {
		if !slices.Contains(allowed, command) {
			t.Errorf("a script calls %s, which the user may not", command)
		}
	}
	for _, command := range allowed {
		if !slices.Contains(slices.Concat(scripts, calls, spoken), command) {
			t.Errorf("the user may call %s, which nothing does", command)
		}
	}
}

// used are the commands that scripts call, and the methods that shared/session calls on a client, in lower case.
func used(t *testing.T) (scripts, calls []string) {
	t.Helper()
	collect := func(pattern, within string) (found []string) {
		files, err := filepath.Glob(filepath.Join(root, "shared/session", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(within).FindAllSubmatch(text, -1) {
				found = append(found, strings.ToLower(string(m[1])))
			}
		}
		return found
	}
	for _, pattern := range []string{"lua/*.lua", "lua/lib/*.lua"} {
		scripts = append(scripts, collect(pattern, `(?:redis\.p?call|callOrReset)\(\s*'(\w+)'`)...)
	}
	calls = append(collect("*.go", `(?:rdb|p)\.(\w+)(?:\(ctx|\n)`), "set") // SetArgs
	return scripts, calls
}

func TestStack_keys(t *testing.T) {
	s := deploy(t, "RotationDays=30")
	id, secret := s.one(t, "AWS::SecretsManager::Secret")
	expect(t, "the secret", s.resources[id], map[string]string{"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"})
	expect(t, "the secret", secret, map[string]string{
		"SecretString": "null",
		"GenerateSecretString": `{"ExcludePunctuation":true,"GenerateStringKey":"k1","PasswordLength":64,` +
			`"SecretStringTemplate":"{\"lookup\":\"k1\"}"}`,
	})
	schedule, rotated := s.one(t, "AWS::SecretsManager::RotationSchedule")
	expect(t, "the rotation", rotated, map[string]string{
		"SecretId": ref(id), "RotationLambdaARN": attribute(rotation, "Arn"),
		"RotationRules": `{"AutomaticallyAfterDays":"30"}`, "RotateImmediatelyOnUpdate": "false",
	})
	expect(t, "the rotation", s.resources[schedule], map[string]string{"DependsOn": "RotateKeysPermission"})
	expect(t, "its permission", s.resources["RotateKeysPermission"].at("Properties"), map[string]string{
		"Principal": "secretsmanager.amazonaws.com", "SourceAccount": ref("AWS::AccountId"), "SourceArn": ref(id), "FunctionName": ref(rotation),
	})
	for id := range deploy(t, ways["existing keys"]...).resources {
		if strings.Contains(id, "RotateKeys") || strings.HasPrefix(id, "SessionKeys") {
			t.Errorf("with keys of one's own there is %s", id)
		}
	}
}

func TestStack_schedule(t *testing.T) {
	s := deploy(t)
	_, schedule := s.one(t, "AWS::Scheduler::Schedule")
	expect(t, "the schedule", schedule, map[string]string{
		"ScheduleExpression": "rate(1 minute)", "State": "null", "Name": "null", "FlexibleTimeWindow": `{"Mode":"OFF"}`,
		"Target/Arn": attribute(sweeper, "Arn"), "Target/RetryPolicy": `{"MaximumRetryAttempts":0}`,
	})
}

func TestStack_network(t *testing.T) {
	each(t, func(t *testing.T, s stack, way string) {
		subnets, groups := `[{"Ref":"SubnetA"},{"Ref":"SubnetB"}]`, `[{"Ref":"FunctionGroup"}]`
		switch way {
		case "given network", "events to a hook":
			subnets = `["subnet-a","subnet-b"]`
		case "given groups":
			subnets, groups = `["subnet-a","subnet-b"]`, `["sg-1","sg-2"]`
		case "existing, in a VPC":
			subnets, groups = `["subnet-a","subnet-b"]`, `["sg-1"]`
		case "existing, public", "events to a given":
			subnets, groups = "null", "null"
		}
		for id, f := range s.of("AWS::Lambda::Function") {
			if id == rotation || id == verifier || servesFiles(id) {
				expect(t, id, f, map[string]string{"VpcConfig": "null"})
				continue
			}
			expect(t, id, f, map[string]string{"VpcConfig/SubnetIds": subnets, "VpcConfig/SecurityGroupIds": groups})
		}
		// There is no way out but those that TestStack_ownNetwork looks at.
		for id, resource := range s.resources {
			kind := resource.at("Type").String()
			if strings.Contains(kind, "Gateway") && strings.HasPrefix(kind, "AWS::EC2::") || strings.HasPrefix(kind, "AWS::EC2::Route") {
				t.Errorf("%s is a %s", id, kind)
			}
		}
	})
}

func TestStack_ownNetwork(t *testing.T) {
	s := deploy(t, "AvailabilityZones=eu-west-1a,eu-west-1c")
	first, second := s.resources["SubnetA"].at("Properties"), s.resources["SubnetB"].at("Properties")
	if first.at("AvailabilityZone").String() == second.at("AvailabilityZone").String() || first.at("CidrBlock").String() == second.at("CidrBlock").String() {
		t.Errorf("the subnets are %s and %s", first, second)
	}
	id, endpoint := s.one(t, "AWS::EC2::VPCEndpoint")
	expect(t, id, endpoint, map[string]string{
		"ServiceName": "com.amazonaws.${AWS::Region}.secretsmanager", "PrivateDnsEnabled": "true", "VpcEndpointType": "Interface",
		"SecurityGroupIds": `[{"Ref":"EndpointGroup"}]`, "PolicyDocument/Statement/0/Resource": ref("SessionKeys"),
	})
	expect(t, "the functions' group", s.resources["FunctionGroup"].at("Properties"), map[string]string{
		"VpcId": ref("Vpc"), "SecurityGroupIngress": "null", "SecurityGroupEgress/2": "null",
		"SecurityGroupEgress/0": `{"Description":"Cache","DestinationSecurityGroupId":{"Ref":"CacheGroup"},"FromPort":6379,"IpProtocol":"tcp","ToPort":6380}`,
		"SecurityGroupEgress/1": `{"Description":"Secrets Manager","DestinationSecurityGroupId":{"Ref":"EndpointGroup"},"FromPort":443,"IpProtocol":"tcp","ToPort":443}`,
	})
	for id, ports := range map[string][3]string{"CacheIngress": {"CacheGroup", "6379", "6380"}, "EndpointIngress": {"EndpointGroup", "443", "443"}} {
		expect(t, id, s.resources[id].at("Properties"), map[string]string{
			"GroupId": ref(ports[0]), "FromPort": ports[1], "ToPort": ports[2], "SourceSecurityGroupId": ref("FunctionGroup"), "CidrIp": "null",
		})
	}
}

func TestStack_api(t *testing.T) {
	s := deploy(t, "SiweDomains=a.example.com,b.example.com", "ThrottleRate=7", "ThrottleBurst=8", "LoginThrottleRate=3", "LoginThrottleBurst=4",
		"ValidateThrottleRate=5", "ValidateThrottleBurst=6")
	_, stage := s.one(t, "AWS::ApiGatewayV2::Stage")
	expect(t, "the stage", stage, map[string]string{
		"DefaultRouteSettings": `{"ThrottlingBurstLimit":"8","ThrottlingRateLimit":"7"}`,
		"RouteSettings":        `{"POST /auth/login":{"ThrottlingBurstLimit":"4","ThrottlingRateLimit":"3"},"POST /auth/validate":{"ThrottlingBurstLimit":"6","ThrottlingRateLimit":"5"}}`,
	})
	var line map[string]string
	if err := json.Unmarshal([]byte(stage.at("AccessLogSettings", "Format").String()), &line); err != nil {
		t.Errorf("the access log is no JSON: %v", err)
	}
	for name, want := range map[string]string{"authorizerError": "$context.authorizer.error", "integrationError": "$context.integrationErrorMessage"} {
		if line[name] != want {
			t.Errorf("the access log has %s of %q", name, line[name])
		}
	}
	for name, value := range line {
		if strings.Contains(value, "$context.path") || strings.Contains(value, "header") {
			t.Errorf("the access log tells %s, which may hold what is sealed elsewhere", name)
		}
	}
	_, api := s.one(t, "AWS::ApiGatewayV2::Api")
	expect(t, "CORS", api.at("Body", "x-amazon-apigateway-cors"), map[string]string{
		"allowOrigins":     `{"Fn::Split":[",",{"Fn::Join":["",["https://",{"Fn::Join":[",https://",["a.example.com","b.example.com"]]}]]}]}`,
		"allowCredentials": "true", "maxAge": "600", "allowHeaders/3": "if-none-match",
	})
	// SAM fills in this parameter by itself, from what it is told.
	logged := []string{"SiweDomains=c.example.com", "Origins=https://c.example.com,https://d.example.com"}
	s = carryOut(translated(t, "template.yaml", logged...), logged...)
	_, api = s.one(t, "AWS::ApiGatewayV2::Api")
	expect(t, "CORS", api.at("Body", "x-amazon-apigateway-cors"), map[string]string{"allowOrigins": `["https://c.example.com","https://d.example.com"]`})
}

// Headers of CorsAllowHeaders come beside the API's own, which the local server reads out of the same list.
func TestStack_corsAllowHeaders(t *testing.T) {
	template, err := gateway.Parse([]byte(readFile(t, "template.yaml")))
	if err != nil || len(template.CORS.AllowHeaders) != 5 {
		t.Fatalf("the local server reads the headers %q: %v", template.CORS.AllowHeaders, err)
	}
	for given, more := range map[string][]string{"": nil, "baggage": {"baggage"}, "baggage,sentry-trace,traceparent": {"baggage", "sentry-trace", "traceparent"}} {
		parameters := []string{"SiweDomains=c.example.com", "CorsAllowHeaders=" + given}
		_, api := carryOut(translated(t, "template.yaml", parameters...), parameters...).one(t, "AWS::ApiGatewayV2::Api")
		want, err := json.Marshal(slices.Concat(template.CORS.AllowHeaders, more))
		if err != nil {
			t.Fatal(err)
		}
		if got := api.at("Body", "x-amazon-apigateway-cors", "allowHeaders").String(); got != string(want) {
			t.Errorf("with %q, the allowed headers are %s, want %s", given, got, want)
		}
	}
}

func TestStack_customDomain(t *testing.T) {
	closed := func(s stack) string {
		_, api := s.one(t, "AWS::ApiGatewayV2::Api")
		return api.at("Body", "servers", "0", "x-amazon-apigateway-endpoint-configuration", "disableExecuteApiEndpoint").String()
	}
	s := deploy(t)
	if closed(s) != "false" || len(s.of("AWS::ApiGatewayV2::DomainName"))+len(s.of("AWS::ApiGatewayV2::ApiMapping"))+len(s.of("AWS::Route53::RecordSet")) > 0 {
		t.Errorf("without a domain: execute-api closed %s, or a domain", closed(s))
	}
	s = deploy(t, ways["custom domain"]...)
	if closed(s) != "true" {
		t.Error("with a domain, execute-api is not closed")
	}
	_, domain := s.one(t, "AWS::ApiGatewayV2::DomainName")
	expect(t, "the domain", domain, map[string]string{
		"DomainName": "api.example.com", "DomainNameConfigurations/0/CertificateArn": "arn:certificate", "DomainNameConfigurations/0/SecurityPolicy": "TLS_1_2",
	})
	_, mapping := s.one(t, "AWS::ApiGatewayV2::ApiMapping")
	expect(t, "the mapping", mapping, map[string]string{"ApiId": ref("Api"), "Stage": ref("ApiApiGatewayDefaultStage"), "ApiMappingKey": "null"})
	_, record := s.one(t, "AWS::Route53::RecordSet")
	expect(t, "the record", record, map[string]string{"HostedZoneId": "Z1", "Name": "api.example.com", "AliasTarget/DNSName": attribute("Domain", "RegionalDomainName")})
	expect(t, "the outputs", s.outputs["ApiUrl"], map[string]string{"Value": "https://api.example.com"})
	if s := deploy(t, "DomainName=api.example.com", "CertificateArn=arn:certificate"); len(s.of("AWS::Route53::RecordSet")) > 0 || s.outputs["DomainTarget"].value == nil {
		t.Error("without a zone there is a record, or no target for one")
	}
}

func TestStack_outputs(t *testing.T) {
	each(t, func(t *testing.T, s stack, _ string) {
		for _, name := range []string{"ApiUrl", "AuthorizerArn", "SecretArn", "CacheEndpoint", "DashboardUrl"} {
			if s.outputs[name].at("Value").value == nil {
				t.Errorf("no output %s", name)
			}
		}
		expect(t, "AuthorizerArn", s.outputs["AuthorizerArn"], map[string]string{
			"Value": attribute(authorizer, "Arn"), "Export/Name": "${AWS::StackName}-AuthorizerArn",
		})
	})
}
