package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	awsevents "github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

const (
	// redeliverAfter is when a message is delivered again whose delivery
	// failed. A queue on AWS waits longer.
	redeliverAfter = time.Second
	// maxDeliveries is how often it is delivered at most.
	maxDeliveries = 60
)

// queue is a stand-in for a queue of SQS that calls a function with each
// message, until the function does not report it as failed. It keeps no order.
type queue struct {
	function lambda.Handler
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	open     sync.WaitGroup
}

func newQueue(function lambda.Handler, log *slog.Logger) *queue {
	q := &queue{function: function, log: log}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	return q
}

// send delivers a message. It does not wait for that.
func (q *queue) send(body string) {
	q.open.Go(func() { q.deliver(awsevents.SQSMessage{MessageId: "local", Body: body}) })
}

// close gives up what was not delivered, and waits for the function.
func (q *queue) close() {
	q.cancel()
	q.open.Wait()
}

func (q *queue) deliver(message awsevents.SQSMessage) {
	for range maxDeliveries {
		err := q.call(message)
		if err == nil || q.ctx.Err() != nil {
			return
		}
		select {
		case <-q.ctx.Done():
			return
		case <-time.After(redeliverAfter):
		}
	}
	q.log.Error("message is given up", "messageId", message.MessageId)
}

// call delivers a message once.
func (q *queue) call(message awsevents.SQSMessage) error {
	batch := awsevents.SQSEvent{Records: []awsevents.SQSMessage{message}}
	payload, err := json.Marshal(batch)
	if err != nil {
		return err
	}
	output, err := q.function.Invoke(q.ctx, payload)
	if err != nil {
		return err
	}
	var failed awsevents.SQSEventResponse
	if err := json.Unmarshal(output, &failed); err != nil {
		return err
	}
	if len(failed.BatchItemFailures) > 0 {
		return errors.New("the function reports a failure")
	}
	return nil
}
