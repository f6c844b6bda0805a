package gateway_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"latchkey/local/gateway"
)

// template has what the reader must get through: tags of CloudFormation in every
// position, a conditional block, functions with and without their own timeout.
const template = `
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Origins: {Type: String, Default: ''}
Conditions:
  HasOrigins: !Not [!Equals [!Ref Origins, '']]
Globals:
  Function:
    Timeout: 10
    Environment:
      Variables:
        REDIS_HOST: !Ref RedisHost
        APP_ENV: production
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      CorsConfiguration: !If
        - HasOrigins
        - AllowOrigins: !Split [',', !Ref Origins]
          AllowMethods: [GET, POST]
          AllowHeaders: [authorization, content-type]
          ExposeHeaders: [etag, x-request-id]
          AllowCredentials: true
          MaxAge: 600
        - !Ref AWS::NoValue
  Role:
    Type: AWS::IAM::Role
    Properties: {RoleName: !Sub '${AWS::StackName}-role'}
  EchoFunction:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: .
      Role: !GetAtt Role.Arn
      Events:
        Login: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: post, Path: /auth/login}}
        Health: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /health}}
        Key: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: '/state/{key}'}}
        Mine: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /state/mine}}
        Any: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: ANY, Path: '/files/{id}/{proxy+}'}}
        Tick: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(1 minute)}}
  SlowFunction:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 60
      Events:
        Slow: {Type: HttpApi, Properties: {Method: GET, Path: /slow}}
`

func parse(t testing.TB, text string) *gateway.Template {
	t.Helper()
	parsed, err := gateway.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParse(t *testing.T) {
	got := parse(t, template)
	want := &gateway.Template{
		Functions: map[string]gateway.Function{
			"EchoFunction": {Timeout: 10 * time.Second, Routes: []gateway.Route{
				{Method: "POST", Path: "/auth/login"}, {Method: "GET", Path: "/health"},
				{Method: "GET", Path: "/state/{key}"}, {Method: "GET", Path: "/state/mine"},
				{Method: "ANY", Path: "/files/{id}/{proxy+}"},
			}, Schedule: time.Minute},
			"SlowFunction": {Timeout: time.Minute, Routes: []gateway.Route{{Method: "GET", Path: "/slow"}}},
		},
		CORS: gateway.CORS{
			AllowMethods:     []string{"GET", "POST"},
			AllowHeaders:     []string{"authorization", "content-type"},
			ExposeHeaders:    []string{"etag", "x-request-id"},
			AllowCredentials: true,
			MaxAge:           600,
		},
		Variables: []string{"APP_ENV", "REDIS_HOST"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParse_schedule(t *testing.T) {
	for expression, want := range map[string]time.Duration{
		"rate(1 minute)": time.Minute, "rate(5 minutes)": 5 * time.Minute, "rate(1 hour)": time.Hour, "rate(2 days)": 48 * time.Hour,
	} {
		text := strings.ReplaceAll(template, "rate(1 minute)", expression)
		if got := parse(t, text).Functions["EchoFunction"].Schedule; got != want {
			t.Errorf("%s: %v", expression, got)
		}
	}
}

func TestParse_refusesWhatCannotBeServed(t *testing.T) {
	const function = "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n"
	for name, c := range map[string]struct{ text, want string }{
		"nothing":        {"", "empty"},
		"no YAML":        {"a: [", "reading the template"},
		"no function":    {"Resources: {}", "no AWS::Serverless::Function"},
		"timeout":        {function + "      Timeout: soon\n", "Timeout"},
		"no method":      {function + "      Events: {E: {Type: HttpApi, Properties: {Path: /a}}}\n", "Method is missing"},
		"cron":           {function + "      Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: 'cron(0 * * * ? *)'}}}\n", "use a rate"},
		"no rate":        {function + "      Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(0 minutes)}}}\n", "use a rate"},
		"relative route": {function + "      Events: {E: {Type: HttpApi, Properties: {Method: GET, Path: a}}}\n", "slash"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := gateway.Parse([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something of %q", err, c.want)
			}
		})
	}
}
