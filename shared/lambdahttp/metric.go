package lambdahttp

import (
	"encoding/json"
	"io"
	"time"

	"latchkey/shared/api"
)

// namespace is the namespace of the metrics in CloudWatch.
const namespace = "Latchkey"

// emf is the metadata of a line of CloudWatch's embedded metric format. The
// value of the metric is a member beside it.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
type emf struct {
	Timestamp         int64          `json:"Timestamp"` // milliseconds since 1970
	CloudWatchMetrics []emfDirective `json:"CloudWatchMetrics"`
}

type emfDirective struct {
	Namespace  string      `json:"Namespace"`
	Dimensions [][]string  `json:"Dimensions"`
	Metrics    []emfMetric `json:"Metrics"`
}

type emfMetric struct {
	Name string `json:"Name"`
	Unit string `json:"Unit"`
}

// NewMetric returns a function that writes each value of a metric as one line.
// CloudWatch reads such lines out of the log, as metrics of the Lambda function.
// If function is empty, the process is not a Lambda, and NewMetric returns nil.
func NewMetric(w io.Writer, function string, now func() time.Time) func(api.Metric, float64) {
	if function == "" {
		return nil
	}
	return func(m api.Metric, value float64) {
		line, err := json.Marshal(map[string]any{
			"_aws": emf{now().UnixMilli(), []emfDirective{{
				Namespace: namespace, Dimensions: [][]string{{"FunctionName"}},
				Metrics: []emfMetric{{string(m), "Count"}},
			}}},
			"FunctionName": function, string(m): value,
		})
		if err == nil {
			_, _ = w.Write(append(line, '\n')) // as with the log, an error has nowhere to go
		}
	}
}
