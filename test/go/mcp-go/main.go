// A client of github.com/mark3labs/mcp-go that takes the steps of a test.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"time"

	"emcy.dev/gateway/test/go/steps"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

type app struct {
	settings steps.Settings
	store    client.TokenStore
	client   *client.Client
}

func newApp(settings steps.Settings) (*app, error) {
	store := client.NewMemoryTokenStore()
	// What NewOAuthStreamableHttpClient does, which takes no options of the client.
	connection, err := transport.NewStreamableHTTP(settings.URL, transport.WithHTTPOAuth(client.OAuthConfig{
		ClientID:    settings.DocumentURL,
		RedirectURI: settings.RedirectURI,
		Scopes:      settings.Scopes,
		TokenStore:  store,
		PKCEEnabled: true,
	}))
	if err != nil {
		return nil, err
	}
	var options []client.ClientOption
	if settings.OpensLinks {
		capabilities := mcp.ClientCapabilities{Elicitation: &mcp.ElicitationCapability{URL: &struct{}{}}}
		options = append(options, client.WithElicitationHandler(links{}), client.WithClientCapabilities(capabilities))
	}
	return &app{settings: settings, store: store, client: client.NewClient(connection, options...)}, nil
}

// links lets the user open what a server asks for.
type links struct{}

func (links) Elicit(_ context.Context, request mcp.ElicitationRequest) (*mcp.ElicitationResult, error) {
	action, err := steps.Follow(request.Params.URL, request.Params.Message)
	return &mcp.ElicitationResult{ElicitationResponse: mcp.ElicitationResponse{Action: mcp.ElicitationResponseAction(action)}}, err
}

// initialize connects; when the user has to sign in first, it goes through that as the library's own example does.
func (it *app) initialize(ctx context.Context) (string, error) {
	if err := it.client.Start(ctx); err != nil {
		return "", err
	}
	request := mcp.InitializeRequest{}
	request.Params.ClientInfo = mcp.Implementation{Name: it.settings.Name, Version: "1.0.0"}
	result, err := it.client.Initialize(ctx, request)
	if client.IsOAuthAuthorizationRequiredError(err) {
		if err := it.signIn(ctx, err); err != nil {
			return "", err
		}
		result, err = it.client.Initialize(ctx, request)
	}
	if err != nil {
		return "", err
	}
	return result.ProtocolVersion, nil
}

func (it *app) signIn(ctx context.Context, required error) error {
	handler := client.GetOAuthHandler(required)
	if handler.GetClientID() == "" {
		if err := handler.RegisterClient(ctx, it.settings.Name); err != nil {
			return err
		}
	}
	verifier, err := client.GenerateCodeVerifier()
	if err != nil {
		return err
	}
	state, err := client.GenerateState()
	if err != nil {
		return err
	}
	to, err := handler.GetAuthorizationURL(ctx, state, client.GenerateCodeChallenge(verifier))
	if err != nil {
		return err
	}
	back, err := steps.Open(to)
	if err != nil {
		return err
	}
	return handler.ProcessAuthorizationResponse(ctx, back.Get("code"), back.Get("state"), verifier)
}

func (it *app) take(step steps.Step) (steps.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch step.Do {
	case "connect":
		revision, err := it.initialize(ctx)
		return steps.Outcome{Revision: revision}, err
	case "list":
		result, err := it.client.ListTools(ctx, mcp.ListToolsRequest{})
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
		token, err := it.store.GetToken(ctx)
		if err != nil {
			return steps.Outcome{}, err
		}
		later := *token
		later.ExpiresAt = token.ExpiresAt.Add(-time.Duration(step.Seconds) * time.Second)
		return steps.Outcome{}, it.store.SaveToken(ctx, &later)
	case "tokens":
		token, err := it.store.GetToken(ctx)
		if err != nil {
			return steps.Outcome{}, err
		}
		return steps.Outcome{Access: token.AccessToken, Refresh: token.RefreshToken}, nil
	case "close":
		return steps.Outcome{}, it.client.Close()
	}
	return steps.Outcome{}, fmt.Errorf("unknown step %s", step.Do)
}

func (it *app) call(ctx context.Context, step steps.Step) (string, bool, error) {
	request := mcp.CallToolRequest{}
	request.Params.Name, request.Params.Arguments = step.Tool, step.Arguments
	result, err := it.client.CallTool(ctx, request)
	if client.IsOAuthAuthorizationRequiredError(err) {
		return "", false, errors.New("the user has to sign in")
	} else if err != nil {
		return "", false, err
	}
	var texts []string
	for _, part := range result.Content {
		if text, ok := mcp.AsTextContent(part); ok {
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
