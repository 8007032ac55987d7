package examples

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/oauth2"

	"github.com/switchgear-go/switchgear/adapters/breakerhttp"
	"github.com/switchgear-go/switchgear/breaker"
)

// unavailable is a server that is down for maintenance; it counts requests.
func unavailable(requests *int) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		*requests++
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
}

// go-retryablehttp retries every error of its client, rejections too. They are
// for its CheckRetry to leave out: the rejection says when to come back.
func Example_retryablehttp() {
	var requests, rejections int
	server := unavailable(&requests)
	defer server.Close()
	api := breaker.New("api", breaker.Settings{FailMax: 3, ResetTimeout: 30 * time.Second}, breaker.WithListener(breaker.Listener{
		Rejected: func(*breaker.Breaker, error) { rejections++ },
	}))

	client := retryablehttp.NewClient()
	client.Logger = nil
	client.RetryMax, client.RetryWaitMin, client.RetryWaitMax = 10, time.Millisecond, time.Millisecond
	client.HTTPClient.Transport = breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(api))
	client.CheckRetry = func(ctx context.Context, resp *http.Response, err error) (bool, error) {
		if errors.Is(err, breaker.ErrOpen) {
			return false, err
		}
		return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
	}

	_, err := client.Get(server.URL)
	var open *breaker.OpenError
	if errors.As(err, &open) {
		fmt.Println(requests, "requests and", rejections, "rejection; come back in", open.RetryAfter().Round(time.Second))
	}
	// Output: 3 requests and 1 rejection; come back in 30s
}

// The AWS SDK takes every error of its HTTP client for a broken connection, and
// retries it. A rejection is none.
func Example_awsSDK() {
	var requests, rejections int
	server := unavailable(&requests)
	defer server.Close()
	api := breaker.New("sts", breaker.Settings{FailMax: 3, ResetTimeout: 30 * time.Second}, breaker.WithListener(breaker.Listener{
		Rejected: func(*breaker.Breaker, error) { rejections++ },
	}))

	notRejections := retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
		if errors.Is(err, breaker.ErrOpen) {
			return aws.FalseTernary
		}
		return aws.UnknownTernary // the next one says
	})
	client := sts.NewFromConfig(aws.Config{
		Region:      "eu-central-1",
		Credentials: aws.AnonymousCredentials{},
		HTTPClient:  &http.Client{Transport: breakerhttp.NewTransport(nil, breakerhttp.WithBreaker(api))},
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) {
				o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 10, time.Millisecond, ratelimit.None
				o.Retryables = append([]retry.IsErrorRetryable{notRejections}, o.Retryables...)
			})
		},
	}, func(o *sts.Options) { o.BaseEndpoint = aws.String(server.URL) })

	_, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	var open *breaker.OpenError
	if errors.As(err, &open) {
		fmt.Println(requests, "requests and", rejections, "rejection; come back in", open.RetryAfter().Round(time.Second))
	}
	// Output: 3 requests and 1 rejection; come back in 30s
}

// The breaker of an API is inside of what gets its tokens: a token endpoint that
// is down says nothing about the API. It has its own breaker.
func Example_oauth2() {
	var requests int
	tokens := unavailable(&requests)
	defer tokens.Close()
	api := httptest.NewServer(http.NotFoundHandler())
	defer api.Close()

	manager := breaker.NewManager(breaker.Settings{FailMax: 3})
	guarded := breakerhttp.NewTransport(nil, breakerhttp.WithSet(breaker.SetOf[string](manager, "http"), func(r *http.Request) string {
		if r.URL.Host == tokens.Listener.Addr().String() {
			return "tokens"
		}
		return "api"
	}))
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: guarded})
	config := oauth2.Config{Endpoint: oauth2.Endpoint{TokenURL: tokens.URL, AuthStyle: oauth2.AuthStyleInParams}}
	client := &http.Client{Transport: &oauth2.Transport{
		Source: config.TokenSource(ctx, &oauth2.Token{RefreshToken: "r", Expiry: time.Now()}),
		Base:   guarded,
	}}

	var err error
	for range 4 {
		_, err = client.Get(api.URL)
	}
	fmt.Println(requests, "requests for a token;", errors.Is(err, breaker.ErrOpen))
	for _, s := range manager.Status() {
		fmt.Println(s.ID, s.State)
	}
	// Output:
	// 3 requests for a token; true
	// http/tokens open
}
