package migration_test

import (
	"context"
	"errors"
)

// What the examples guard: a service that is down, and what else they need.

type Receipt string

var (
	errDown     = errors.New("connection refused")
	errNotFound = errors.New("no such order")
)

func charge(context.Context) (Receipt, error) { return "", errDown }

func find(context.Context) (Receipt, error) { return "", errNotFound }

func queued() Receipt { return "queued" }

// Response is an answer that can say failure by itself.
type Response struct{ Status int }

func get(context.Context) (Response, error) { return Response{Status: 503}, nil }
