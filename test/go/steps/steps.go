// Package steps lets a test drive an MCP client: steps come as JSON lines on standard input, and each is answered by one JSON line.
package steps

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"sync"
)

// Settings say who the client is; they are the program's only argument, as JSON.
type Settings struct {
	URL         string   `json:"url"`
	RedirectURI string   `json:"redirectUri"`
	Name        string   `json:"name"`
	DocumentURL string   `json:"documentUrl"`
	AuthMethod  string   `json:"authMethod"`
	Scopes      []string `json:"scopes"`
	Revision    string   `json:"revision"`
	OpensLinks  bool     `json:"opensLinks"`
}

// Step is one thing to do.
type Step struct {
	Do        string         `json:"do"`
	Tool      string         `json:"tool"`
	Arguments map[string]any `json:"arguments"`
	Times     int            `json:"times"`
	Seconds   int            `json:"seconds"`
}

// Outcome is what came of a step.
type Outcome struct {
	Do       string   `json:"do"`
	Revision string   `json:"revision,omitempty"`
	Tools    []string `json:"tools,omitempty"`
	Texts    []string `json:"texts,omitempty"`
	IsError  bool     `json:"isError,omitempty"`
	Access   string   `json:"access,omitempty"`
	Refresh  string   `json:"refresh,omitempty"`
	Error    string   `json:"error,omitempty"`
}

var (
	lines  = bufio.NewReader(os.Stdin)
	answer = json.NewEncoder(os.Stdout)
	asking sync.Mutex
)

// Read gives the program's settings.
func Read() (settings Settings, err error) {
	if len(os.Args) != 2 {
		return settings, errors.New("usage: PROGRAM SETTINGS")
	}
	err = json.Unmarshal([]byte(os.Args[1]), &settings)
	return settings, err
}

// Run takes steps until standard input ends. What an app would see as an error is the outcome's Error.
func Run(take func(Step) (Outcome, error)) error {
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		step := Step{Arguments: map[string]any{}}
		if err := json.Unmarshal(line, &step); err != nil {
			return err
		}
		outcome, err := take(step)
		if err != nil {
			outcome.Error = err.Error()
		}
		outcome.Do = step.Do
		if err := answer.Encode(outcome); err != nil {
			return err
		}
	}
}

// Open sends the user's browser to a URL and gives the parameters with which it came back to the client.
func Open(to string) (url.Values, error) {
	asking.Lock()
	defer asking.Unlock()
	if err := answer.Encode(map[string]string{"open": to}); err != nil {
		return nil, err
	}
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("the browser did not come back: %w", err)
	}
	var back struct {
		Callback string `json:"callback"`
	}
	if err := json.Unmarshal(line, &back); err != nil {
		return nil, err
	}
	callback, err := url.Parse(back.Callback)
	if err != nil {
		return nil, err
	}
	return callback.Query(), nil
}

// Follow lets the user open a link that the server asks for, and gives what they said to it.
func Follow(link, message string) (string, error) {
	asking.Lock()
	defer asking.Unlock()
	if err := answer.Encode(map[string]string{"follow": link, "message": message}); err != nil {
		return "", err
	}
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return "", fmt.Errorf("the user did not answer: %w", err)
	}
	var said struct {
		Action string `json:"action"`
	}
	err = json.Unmarshal(line, &said)
	return said.Action, err
}

// Together runs a call several times at once and gives what each said.
func Together(times int, call func() (string, bool, error)) (outcome Outcome, err error) {
	texts, failures := make([]string, max(times, 1)), make([]error, max(times, 1))
	refused := make([]bool, len(texts))
	var all sync.WaitGroup
	for i := range texts {
		all.Go(func() { texts[i], refused[i], failures[i] = call() })
	}
	all.Wait()
	for _, each := range refused {
		outcome.IsError = outcome.IsError || each
	}
	outcome.Texts = texts
	return outcome, errors.Join(failures...)
}
