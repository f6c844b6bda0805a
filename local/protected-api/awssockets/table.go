package awssockets

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"latchkey/local/protected-api/sockets"
)

// The attributes of an item. sessionKey and connectionKey are the key: so a
// session's connections are read together, and consistently, which an index
// could not do.
const (
	sessionKey    = "session"
	connectionKey = "connection"
	openedAt      = "opened"  // milliseconds
	expiresAt     = "expires" // seconds, for the time to live of DynamoDB
)

// endItem is the connectionKey of the item that says that a session has ended.
// API Gateway has no such id.
const endItem = "#ended"

// Table is a table of DynamoDB. It implements [sockets.Table].
type Table struct {
	client *dynamodb.Client
	name   string
	now    func() time.Time
}

// NewTable returns the table that TABLE names.
func NewTable(env Environment, now func() time.Time) *Table {
	return &Table{name: env("TABLE"), now: now, client: dynamodb.New(dynamodb.Options{
		Region:       env("AWS_REGION"),
		Credentials:  env,
		HTTPClient:   newHTTPClient(),
		BaseEndpoint: env.endpoint("AWS_ENDPOINT_URL_DYNAMODB"),
	})}
}

type item = map[string]types.AttributeValue

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func keyOf(session, connection string) item {
	return item{sessionKey: text(session), connectionKey: text(connection)}
}

// Put implements [sockets.Table].
func (t *Table) Put(ctx context.Context, c sockets.Connection) error {
	it := keyOf(c.Session, c.ID)
	it[openedAt] = number(c.Opened.UnixMilli())
	return t.put(ctx, it, sockets.LongestConnection)
}

// End implements [sockets.Table].
func (t *Table) End(ctx context.Context, session string) error {
	return t.put(ctx, keyOf(session, endItem), sockets.EndKept)
}

func (t *Table) put(ctx context.Context, it item, keep time.Duration) error {
	it[expiresAt] = number(t.now().Add(keep).Unix())
	_, err := t.client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &t.name, Item: it})
	return describe(err)
}

// Remove implements [sockets.Table].
func (t *Table) Remove(ctx context.Context, c sockets.Connection) error {
	_, err := t.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &t.name, Key: keyOf(c.Session, c.ID),
	})
	return describe(err)
}

// HasEnded implements [sockets.Table]. DynamoDB may keep an item for days after
// its time. It still says the truth: a session does not come back.
func (t *Table) HasEnded(ctx context.Context, session string) (bool, error) {
	out, err := t.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &t.name, Key: keyOf(session, endItem), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return false, describe(err)
	}
	return len(out.Item) > 0, nil
}

// Of implements [sockets.Table].
func (t *Table) Of(ctx context.Context, session string) (all []sockets.Connection, err error) {
	pages := dynamodb.NewQueryPaginator(t.client, &dynamodb.QueryInput{
		TableName: &t.name, ConsistentRead: aws.Bool(true),
		KeyConditionExpression:    aws.String("#s = :s"),
		ExpressionAttributeNames:  map[string]string{"#s": sessionKey},
		ExpressionAttributeValues: item{":s": text(session)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, describe(err)
		}
		for _, it := range page.Items {
			c, err := connectionOf(it)
			if err != nil {
				return nil, err
			}
			if c.ID != endItem {
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// connectionOf decodes an item. The one that says that the session has ended
// has no time.
func connectionOf(it item) (c sockets.Connection, err error) {
	session, _ := it[sessionKey].(*types.AttributeValueMemberS)
	id, _ := it[connectionKey].(*types.AttributeValueMemberS)
	if session == nil || id == nil {
		return c, fmt.Errorf("the table has an item without %s or %s", sessionKey, connectionKey)
	}
	c.Session, c.ID = session.Value, id.Value
	if opened, ok := it[openedAt].(*types.AttributeValueMemberN); ok {
		ms, err := strconv.ParseInt(opened.Value, 10, 64)
		if err != nil {
			return c, fmt.Errorf("the table has an item with a damaged time: %w", err)
		}
		c.Opened = time.UnixMilli(ms)
	}
	return c, nil
}

// describe returns an error of DynamoDB as it may be logged, and nil for nil. An
// error about the signature is cut to its code: its message may repeat the
// request, which has the session token of the role.
func describe(err error) error {
	var api smithy.APIError
	if errors.As(err, &api) && strings.Contains(api.ErrorCode(), "Signature") {
		return errors.New("DynamoDB: " + api.ErrorCode())
	}
	return err
}
