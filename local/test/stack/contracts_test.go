package stack_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// contractWallets are the parameters that switch contract wallets on.
var contractWallets = []string{"EthereumRpcSecretArn=" + rpcARN, "EthereumRpcQuorum=2", "WalletRecheckMinutes=30",
	`EthereumMulticall={"1":"0xcA11bde05977b3631167028862bE2a173976CA11"}`}

// verifierARN is the function that asks the chains, once it is there.
const verifierARN = "arn:aws:lambda:us-east-1:000000000000:function:stack-VerifySignatureFunction-AbC"

// verifying are the functions that ask the verifier.
var verifying = []string{"LogInFunction", "StepUpFunction", "RefreshSessionFunction"}

// ofContracts are the variables that only the verifier has, or only those functions.
var ofContracts = []string{"ETHEREUM_RPC", "ETHEREUM_RPC_SECRET_ARN", "ETHEREUM_RPC_QUORUM", "ETHEREUM_MULTICALL", "ETHEREUM_CALL_GAS",
	"SIGNATURE_VERIFIER_ARN", "WALLET_RECHECK_MINUTES"}

// TestStack_contractWallets holds that contract wallets are off by default, with not one resource more, and that on they change
// only the functions that ask, their roles, and the dashboard.
func TestStack_contractWallets(t *testing.T) {
	added := []string{"VerifySignatureFunction", "VerifySignatureLogs", "VerifySignatureRole", "VerifySignatureAlarm", "WrongChainsAlarm"}
	for name, network := range map[string][]string{"own": {}, "given": ways["given network"], "none": ways["existing, public"], "no alarms": {"Alarms=false"}} {
		off, on := deploy(t, network...), deploy(t, append(slices.Clone(network), contractWallets...)...)
		want := slices.Clone(added)
		switch name {
		case "own":
			want = append(want, "LambdaEndpoint")
		case "no alarms":
			want = append(added[:3:3], "LambdaEndpoint")
		}
		var got, changed []string
		for id, resource := range on.resources {
			if former := off.resources[id]; former.value == nil {
				got = append(got, id)
			} else if former.String() != resource.String() {
				changed = append(changed, id)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) || len(on.resources) != len(off.resources)+len(want) {
			t.Errorf("%s: they add %q, want %q", name, got, want)
		}
		slices.Sort(changed)
		if want := []string{"ByIdQuery", "Dashboard", "EndsQuery", "FaultsQuery", "LogInFunction", "LogInRole", "RefreshSessionFunction",
			"RefreshSessionRole", "RoutesQuery", "SlowestRequestsQuery", "StepUpFunction", "StepUpRole"}; !slices.Equal(changed, want) {
			t.Errorf("%s: they change %q, want %q", name, changed, want)
		}
	}
}

// TestStack_verifier holds that the verifier is outside the VPC, with its own variables and no other, while TestStack_roles holds
// what it may do.
func TestStack_verifier(t *testing.T) {
	on := deploy(t, append(contractWallets, "SiweDomains=app.example.com", "VerifierConcurrency=7", "ReservedConcurrency=3", "EthereumCallGas=600000")...)
	f := on.resources[verifier].at("Properties")
	expect(t, verifier, f, map[string]string{
		"VpcConfig": "null", "ReservedConcurrentExecutions": "7", "Timeout": "7",
		"Environment": `{"Variables":{"APP_ENV":"production","ETHEREUM_CALL_GAS":"600000","ETHEREUM_MULTICALL":"{\"1\":\"0xcA11bde05977b3631167028862bE2a173976CA11\"}",` +
			`"ETHEREUM_RPC":"","ETHEREUM_RPC_QUORUM":"2","ETHEREUM_RPC_SECRET_ARN":"` + rpcARN + `"}}`,
	})
	expect(t, "without one of its own", deploy(t, append(contractWallets, "ReservedConcurrency=3")...).resources[verifier].at("Properties"),
		map[string]string{"ReservedConcurrentExecutions": "3"})
	expect(t, "the endpoint", on.resources["LambdaEndpoint"].at("Properties"), map[string]string{
		"ServiceName": "com.amazonaws.${AWS::Region}.lambda", "PrivateDnsEnabled": "true", "VpcEndpointType": "Interface",
		"SubnetIds": `[{"Ref":"SubnetA"},{"Ref":"SubnetB"}]`, "SecurityGroupIds": `[{"Ref":"EndpointGroup"}]`,
		"PolicyDocument/Statement": `[{"Action":"lambda:InvokeFunction","Effect":"Allow","Principal":"*","Resource":` + attribute(verifier, "Arn") + `}]`,
	})
	expect(t, "an RPC of another chain", on.resources["WrongChainsAlarm"].at("Properties"), map[string]string{
		"Namespace": "Latchkey", "MetricName": "WrongChains", "Dimensions/0/Value": ref(verifier), "Threshold": "1",
	})
}

// TestStack_variablesOfContracts holds that the variables of contract wallets are only in the functions that read them.
func TestStack_variablesOfContracts(t *testing.T) {
	for name, parameters := range map[string][]string{"off": nil, "on": contractWallets} {
		for id, f := range deploy(t, parameters...).of("AWS::Lambda::Function") {
			variables, _ := f.at("Environment", "Variables").value.(map[string]any)
			for variable := range maps.Keys(variables) {
				wanted := slices.Contains(verifying, id) && (variable != "WALLET_RECHECK_MINUTES" || id == "RefreshSessionFunction")
				if slices.Contains(ofContracts, variable) && !wanted && id != verifier {
					t.Errorf("%s: %s has %s", name, id, variable)
				}
			}
			if !slices.Contains(verifying, id) {
				continue
			}
			arn, recheck := "", ""
			if name == "on" {
				arn, recheck = attribute(verifier, "Arn"), "30"
			}
			expect(t, id, f.at("Environment", "Variables"), map[string]string{"SIGNATURE_VERIFIER_ARN": arn, "ETHEREUM_RPC_QUORUM": "", "ETHEREUM_MULTICALL": ""})
			if id == "RefreshSessionFunction" {
				expect(t, id, f.at("Environment", "Variables"), map[string]string{"WALLET_RECHECK_MINUTES": recheck})
			}
		}
	}
}

// TestStack_contractsNeedTheSecret holds that settings without effect are refused.
func TestStack_contractsNeedTheSecret(t *testing.T) {
	rule := node{template(t)}.at("Rules", "ContractWallets")
	for name, c := range map[string]struct {
		parameters []string
		refused    bool
	}{
		"nothing": {nil, false}, "all": {contractWallets, false}, "the secret": {contractWallets[:1], false},
		"a quorum": {contractWallets[1:2], true}, "a Multicall3": {contractWallets[3:], true},
		"gas": {[]string{"EthereumCallGas=600000"}, true}, "concurrency": {[]string{"VerifierConcurrency=1"}, true},
	} {
		r := newResolver(template(t), c.parameters...)
		refused := r.resolve(rule.at("RuleCondition").value) == true && r.resolve(rule.at("Assertions", "0", "Assert").value) != true
		if refused != c.refused {
			t.Errorf("%s: refused %v", name, refused)
		}
	}
}

// maxVariables is how many bytes Lambda takes for all variables of a function, names and values together.
const maxVariables = 4096

// TestStack_variablesFit adds up the bytes of the variables of every function of a stack that uses every parameter, with values as
// long as real ones are.
func TestStack_variablesFit(t *testing.T) {
	arn := func(service, name string) string {
		return "arn:aws-us-gov:" + service + ":us-gov-west-1:123456789012:" + name + ":latchkey-production-" + strings.Repeat("x", 40)
	}
	admin := ",0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	s := deploy(t, "CacheMode=existing", "RedisHost=clustercfg.latchkey-production.abcdef.euc1.cache.amazonaws.com", "RedisUsername=latchkey-production",
		"RedisPasswordSecretArn="+arn("secretsmanager", "secret"), "SessionKeysSecretArn="+arn("secretsmanager", "secret"),
		"OriginVerifySecretArn="+arn("secretsmanager", "secret"), "ClientAddressHeader=cloudfront-viewer-address",
		"SiweDomains=app.example.com,www.example.com,admin.example.com", "SiweChainIds=1,10,137,8453,42161",
		"SiweNonceMinutes=60", "SiweStatement=Sign in to Example and accept the terms of service at https://example.com/terms.",
		"Origins=https://app.example.com,https://www.example.com,https://admin.example.com",
		"AdminAddresses="+strings.Repeat(admin, 6)[1:], "Roles="+strings.Repeat("r", 1000), "AuthorizerPermissions="+strings.Repeat("p", 300),
		"SessionTimeoutMinutes=30", "SessionMaxHours=12", "AccessTokenMinutes=15", "RefreshGraceSeconds=45", "SessionTouchSeconds=30",
		"MaxConcurrentSessions=100", "SessionLimitPolicy=evict", "DevicePolicy=step_up", "NetworkPolicy=step_up", "RateLimitNoncePerMinute=600",
		"RateLimitLoginPerMinute=300", "RateLimitRefreshPerMinute=600", "StateQuotaBytes=262144", "ActivityMaxEvents=500", "ActivityDays=365",
		"PreferencesDays=3650", "StepUpMinutes=15", "AuditLogEnabled=true", "HealthDetails=false", "LogoutClearSiteData=cache,cookies,storage",
		"Events=webhook", "EventTypes="+strings.Join(eventTypes(), ","), "EventDetails=false", "EventWebhookUrl=https://hooks.example.com/"+strings.Repeat("x", 100),
		"EventWebhookSecretArn="+arn("secretsmanager", "secret"),
		"EthereumRpcSecretArn="+arn("secretsmanager", "secret"), "EthereumRpcQuorum=10", "EthereumCallGas=50000000", "WalletRecheckMinutes=1440",
		`EthereumMulticall={"1":"0xcA11bde05977b3631167028862bE2a173976CA11","8453":"0xcA11bde05977b3631167028862bE2a173976CA11"}`)
	for id, f := range s.of("AWS::Lambda::Function") {
		variables, _ := f.at("Environment", "Variables").value.(map[string]any)
		bytes := 0
		for name, value := range variables {
			text := node{value}.String()
			if text == attribute(verifier, "Arn") {
				text = arn("lambda", "function")
			}
			bytes += len(name) + len(text)
		}
		if bytes > maxVariables || bytes == 0 {
			t.Errorf("%s has %d bytes of variables, and Lambda takes %d", id, bytes, maxVariables)
		}
		t.Logf("%s: %d bytes", id, bytes)
	}
}
