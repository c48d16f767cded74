// An API that takes Chancery's access tokens. Settings: PORT, ISSUER, AUDIENCE.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	oidc "github.com/coreos/go-oidc"
)

const scope = "orders:read"

type caller struct {
	Subject string `json:"sub"`
	Scope   string `json:"scope"`
}

type api struct{ verifier *oidc.IDTokenVerifier }

// The signature, issuer, audience and times are the library's to check. The type is ours: it knows ID tokens only.
func (a api) verify(ctx context.Context, token string) (*caller, error) {
	verified, err := a.verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	var header struct {
		Type string `json:"typ"`
	}
	first, err := base64.RawURLEncoding.DecodeString(strings.SplitN(token, ".", 2)[0])
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(first, &header); err != nil {
		return nil, err
	}
	if header.Type != "at+jwt" {
		return nil, errors.New("not an access token")
	}
	who := new(caller)
	return who, verified.Claims(who)
}

func (c *caller) may(scope string) bool {
	for _, granted := range strings.Fields(c.Scope) {
		if granted == scope {
			return true
		}
	}
	return false
}

func (a api) orders(w http.ResponseWriter, r *http.Request) {
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "an access token, please", http.StatusUnauthorized)
		return
	}
	who, err := a.verify(r.Context(), token)
	if err != nil {
		log.Print("refused: ", err)
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "this access token is not good", http.StatusUnauthorized)
		return
	}
	if !who.may(scope) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+scope+`"`)
		http.Error(w, "this access token is not good for that", http.StatusForbidden)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(who)
}

func main() {
	// The context is kept for fetching keys later on, so it must not be one that ends.
	ctx := oidc.ClientContext(context.Background(), &http.Client{Timeout: 5 * time.Second})
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	if err != nil {
		log.Fatal(err)
	}
	a := api{provider.Verifier(&oidc.Config{
		ClientID:             os.Getenv("AUDIENCE"), // what it compares `aud` with
		SupportedSigningAlgs: []string{oidc.RS256},
	})}
	http.HandleFunc("/orders", a.orders)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
