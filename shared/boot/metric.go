package boot

import (
	"encoding/json"
	"io"
	"time"

	"latchkey/shared/api"
)

// namespace is where the metrics stand in CloudWatch.
const namespace = "Latchkey"

// emf is a line of CloudWatch's embedded metric format, beside the metric's own member.
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

// NewMetric writes each number that it is told as one line, which CloudWatch takes out of the log as a metric of that
// function. Without a function's name it is nil: nobody would take them.
func NewMetric(w io.Writer, function string, now func() time.Time) func(api.Metric, float64) {
	if function == "" {
		return nil
	}
	return func(m api.Metric, value float64) {
		line, err := json.Marshal(map[string]any{
			"_aws": emf{now().UnixMilli(), []emfDirective{{
				Namespace: namespace, Dimensions: [][]string{{"FunctionName"}}, Metrics: []emfMetric{{string(m), "Count"}},
			}}},
			"FunctionName": function, string(m): value,
		})
		if err == nil {
			_, _ = w.Write(append(line, '\n')) // as with the log, there is nobody to tell
		}
	}
}
