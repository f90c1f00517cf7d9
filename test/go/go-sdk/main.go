// A client of github.com/modelcontextprotocol/go-sdk that takes the steps of a test.
package main

import (
	"context"
	"fmt"
	"log"
	"strings"
	"sync/atomic"
	"time"

	"emcy.dev/gateway/test/go/steps"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

type app struct {
	settings steps.Settings
	handler  *auth.AuthorizationCodeHandler
	session  *mcp.ClientSession
	// The one token object that the SDK's source holds: moving its expiry is moving the client's clock.
	current atomic.Pointer[oauth2.Token]
}

func newApp(settings steps.Settings) (*app, error) {
	it := &app{settings: settings}
	config := &auth.AuthorizationCodeHandlerConfig{
		RedirectURL:              settings.RedirectURI,
		RequestRefreshToken:      true,
		AuthorizationCodeFetcher: open,
		NewTokenSource: func(ctx context.Context, config *oauth2.Config, token *oauth2.Token) (oauth2.TokenSource, error) {
			return noting{config.TokenSource(ctx, token), &it.current}, nil
		},
	}
	if settings.DocumentURL != "" {
		config.ClientIDMetadataDocumentConfig = &auth.ClientIDMetadataDocumentConfig{URL: settings.DocumentURL}
	}
	if len(settings.Scopes) > 0 {
		config.ScopeFilter = func([]string) []string { return settings.Scopes }
	}
	config.DynamicClientRegistrationConfig = &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
		ClientName:              settings.Name,
		RedirectURIs:            []string{settings.RedirectURI},
		GrantTypes:              []string{"authorization_code", "refresh_token"},
		ResponseTypes:           []string{"code"},
		TokenEndpointAuthMethod: settings.AuthMethod,
	}}
	var err error
	it.handler, err = auth.NewAuthorizationCodeHandler(config)
	return it, err
}

// noting is the SDK's own source of tokens; it only remembers which token it gave last.
type noting struct {
	oauth2.TokenSource
	current *atomic.Pointer[oauth2.Token]
}

func (source noting) Token() (*oauth2.Token, error) {
	token, err := source.TokenSource.Token()
	if err == nil {
		source.current.Store(token)
	}
	return token, err
}

func open(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	back, err := steps.Open(args.URL)
	if err != nil {
		return nil, err
	}
	return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
}

func (it *app) options() *mcp.ClientOptions {
	if !it.settings.OpensLinks {
		return nil
	}
	return &mcp.ClientOptions{
		Capabilities: &mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapabilities{URL: &mcp.URLElicitationCapabilities{}}},
		ElicitationHandler: func(_ context.Context, request *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			action, err := steps.Follow(request.Params.URL, request.Params.Message)
			return &mcp.ElicitResult{Action: action}, err
		},
	}
}

func (it *app) take(step steps.Step) (steps.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch step.Do {
	case "connect":
		transport := &mcp.StreamableClientTransport{Endpoint: it.settings.URL, OAuthHandler: it.handler}
		client := mcp.NewClient(&mcp.Implementation{Name: it.settings.Name, Version: "1.0.0"}, it.options())
		session, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: it.settings.Revision})
		if err != nil {
			return steps.Outcome{}, err
		}
		it.session = session
		return steps.Outcome{Revision: session.InitializeResult().ProtocolVersion}, nil
	case "list":
		result, err := it.session.ListTools(ctx, nil)
		if err != nil {
			return steps.Outcome{}, err
		}
		var outcome steps.Outcome
		for _, tool := range result.Tools {
			outcome.Tools = append(outcome.Tools, tool.Name)
		}
		return outcome, nil
	case "call":
		return steps.Together(step.Times, func() (string, bool, error) { return it.call(ctx, step) })
	case "pass":
		token := it.current.Load()
		token.Expiry = token.Expiry.Add(-time.Duration(step.Seconds) * time.Second)
		return steps.Outcome{}, nil
	case "tokens":
		token := it.current.Load()
		return steps.Outcome{Access: token.AccessToken, Refresh: token.RefreshToken}, nil
	case "close":
		return steps.Outcome{}, it.session.Close()
	}
	return steps.Outcome{}, fmt.Errorf("unknown step %s", step.Do)
}

func (it *app) call(ctx context.Context, step steps.Step) (string, bool, error) {
	result, err := it.session.CallTool(ctx, &mcp.CallToolParams{Name: step.Tool, Arguments: step.Arguments})
	if err != nil {
		return "", false, err
	}
	var texts []string
	for _, part := range result.Content {
		if text, ok := part.(*mcp.TextContent); ok {
			texts = append(texts, text.Text)
		}
	}
	return strings.Join(texts, "\n"), result.IsError, nil
}

func main() {
	settings, err := steps.Read()
	if err != nil {
		log.Fatal(err)
	}
	it, err := newApp(settings)
	if err != nil {
		log.Fatal(err)
	}
	if err := steps.Run(it.take); err != nil {
		log.Fatal(err)
	}
}
