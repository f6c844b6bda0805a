package lambdahttp

import (
	"encoding/json"
	"io"
	"time"

	"latchkey/shared/api"
)

// namespace is the namespace of the metrics in CloudWatch.
const namespace = "Latchkey"

// object is a JSON object.
type object = map[string]any

// NewMetric returns a function that writes each value of a metric as one line,
// in CloudWatch's embedded metric format: its metadata, and the value beside
// it. CloudWatch reads such lines out of the log, as metrics of the Lambda
// function. If function is empty, the process is not a Lambda, and NewMetric
// returns nil.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
func NewMetric(w io.Writer, function string, now func() time.Time) func(api.Metric, float64) {
	if function == "" {
		return nil
	}
	return func(m api.Metric, value float64) {
		line, err := json.Marshal(object{
			"_aws": object{"Timestamp": now().UnixMilli(), "CloudWatchMetrics": []object{{
				"Namespace": namespace, "Dimensions": [][]string{{"FunctionName"}},
				"Metrics": []object{{"Name": m, "Unit": "Count"}},
			}}},
			"FunctionName": function, string(m): value,
		})
		if err == nil {
			_, _ = w.Write(append(line, '\n')) // as with the log, an error has nowhere to go
		}
	}
}
