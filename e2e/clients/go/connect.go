package main

// docs/clients.md
import (
	"net/http"
	"net/url"

	"github.com/twilio/twilio-go/client"
	video "github.com/twilio/twilio-go/rest/video/v1"
)

// toRotunda sends what the library has for the vendor's host to your server.
type toRotunda struct{ server *url.URL }

func (to toRotunda) RoundTrip(request *http.Request) (*http.Response, error) {
	request = request.Clone(request.Context())
	request.URL.Scheme, request.URL.Host, request.Host = to.server.Scheme, to.server.Host, to.server.Host
	return http.DefaultTransport.RoundTrip(request)
}

func connect(server *url.URL, accountSid, keySid, keySecret string) *video.ApiService {
	c := &client.Client{
		Credentials: client.NewCredentials(keySid, keySecret),
		HTTPClient:  &http.Client{Transport: toRotunda{server}},
	}
	c.SetAccountSid(accountSid)
	return video.NewApiService(client.NewRequestHandler(c))
}

// end
