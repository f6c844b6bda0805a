package lambdahttp_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"latchkey/shared/api"
	"latchkey/shared/lambdahttp"
)

// The line is as CloudWatch's specification of the embedded metric format wants
// it: each metric and each dimension that the metadata names is a member beside
// them, values are numbers, dimensions are texts.
func TestNewMetric(t *testing.T) {
	var out bytes.Buffer
	metric := lambdahttp.NewMetric(&out, "stack-LogInFunction-AbC", func() time.Time { return time.UnixMilli(1795341600123) })
	metric(api.FailedLogins, 1)
	metric(api.Sessions, 12345)
	metric(api.Sessions, 0)
	var want []map[string]any
	for _, m := range []struct {
		name  string
		value float64
	}{{"FailedLogins", 1}, {"Sessions", 12345}, {"Sessions", 0}} {
		want = append(want, map[string]any{
			"_aws": map[string]any{
				"Timestamp": 1795341600123.0,
				"CloudWatchMetrics": []any{map[string]any{
					"Namespace": "Latchkey", "Dimensions": []any{[]any{"FunctionName"}}, "Metrics": []any{map[string]any{"Name": m.name, "Unit": "Count"}},
				}},
			},
			"FunctionName": "stack-LogInFunction-AbC", m.name: m.value,
		})
	}
	for i, line := range bytes.Split(bytes.TrimSuffix(out.Bytes(), []byte("\n")), []byte("\n")) {
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil || i >= len(want) || !reflect.DeepEqual(got, want[i]) {
			t.Errorf("line %d: %v %s", i, err, line)
		}
		if bytes.Contains(line, []byte(fmt.Sprint(1795341600123.0))) {
			t.Errorf("the timestamp is no whole number: %s", line)
		}
	}
	if lambdahttp.NewMetric(&out, "", time.Now) != nil {
		t.Error("a process that is no Lambda writes metrics")
	}
}
