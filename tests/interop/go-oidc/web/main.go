// A web application whose users sign in with Chancery. Settings: PORT, PUBLIC_URL, ISSUER, CLIENT_ID, CLIENT_SECRET.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	oidc "github.com/coreos/go-oidc"
	"golang.org/x/oauth2"
)

// What one browser is doing: signing in, or being signed in. Kept in memory, so a restart signs everybody out.
type session struct {
	state, nonce, verifier, wanted string
	user                           string
	idToken                        string
	ends                           time.Time
}

type app struct {
	publicURL, endSession string
	oauth2                oauth2.Config
	provider              *oidc.Provider
	verifier              *oidc.IDTokenVerifier

	mutex    sync.Mutex
	sessions map[string]session
}

func random() string {
	bytes := make([]byte, 32)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// Under a new name each time, so that nobody can prepare a session for somebody else.
func (a *app) begin(w http.ResponseWriter, s session, life time.Duration) {
	id := random()
	s.ends = time.Now().Add(life)
	a.mutex.Lock()
	for old, each := range a.sessions {
		if time.Now().After(each.ends) {
			delete(a.sessions, old)
		}
	}
	a.sessions[id] = s
	a.mutex.Unlock()
	http.SetCookie(w, &http.Cookie{
		Name: "session", Value: id, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(a.publicURL, "https:"),
	})
}

func (a *app) current(r *http.Request) (string, session) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return "", session{}
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	s := a.sessions[cookie.Value]
	if time.Now().After(s.ends) {
		return "", session{}
	}
	return cookie.Value, s
}

func (a *app) forget(id string) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.sessions, id)
}

func (a *app) home(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, `<a href="/orders">Your orders</a>`)
}

func (a *app) orders(w http.ResponseWriter, r *http.Request) {
	_, s := a.current(r)
	if s.user == "" {
		a.signIn(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<p>signed in as %s</p><a href="/signout">Sign out</a>`, html.EscapeString(s.user))
}

func (a *app) signIn(w http.ResponseWriter, r *http.Request) {
	s := session{state: random(), nonce: random(), verifier: random(), wanted: r.URL.Path}
	a.begin(w, s, 10*time.Minute)
	digest := sha256.Sum256([]byte(s.verifier))
	http.Redirect(w, r, a.oauth2.AuthCodeURL(s.state, oidc.Nonce(s.nonce),
		oauth2.SetAuthURLParam("code_challenge", base64.RawURLEncoding.EncodeToString(digest[:])),
		oauth2.SetAuthURLParam("code_challenge_method", "S256")), http.StatusFound)
}

func (a *app) callback(w http.ResponseWriter, r *http.Request) {
	id, s := a.current(r)
	a.forget(id)
	query := r.URL.Query()
	if s.state == "" || query.Get("state") != s.state || query.Get("iss") != os.Getenv("ISSUER") {
		http.Error(w, "this sign-in was not begun here; please try again", http.StatusBadRequest)
		return
	}
	if query.Get("code") == "" {
		http.Error(w, "signing in did not work: "+query.Get("error"), http.StatusForbidden)
		return
	}
	user, idToken, err := a.user(r.Context(), query.Get("code"), s)
	if err != nil {
		log.Print("sign-in: ", err)
		http.Error(w, "signing in did not work", http.StatusBadGateway)
		return
	}
	a.begin(w, session{user: user, idToken: idToken}, 8*time.Hour)
	http.Redirect(w, r, s.wanted, http.StatusFound)
}

func (a *app) user(ctx context.Context, code string, s session) (string, string, error) {
	token, err := a.oauth2.Exchange(ctx, code, oauth2.SetAuthURLParam("code_verifier", s.verifier))
	if err != nil {
		return "", "", err
	}
	raw, _ := token.Extra("id_token").(string)
	idToken, err := a.verifier.Verify(ctx, raw)
	if err != nil {
		return "", "", err
	}
	if idToken.Nonce != s.nonce {
		return "", "", fmt.Errorf("the nonce of another sign-in")
	}
	// People are known by `sub`. An address can change, and nobody may have verified it.
	return idToken.Subject, raw, nil
}

func (a *app) signOut(w http.ResponseWriter, r *http.Request) {
	id, s := a.current(r)
	a.forget(id)
	http.SetCookie(w, &http.Cookie{Name: "session", Path: "/", MaxAge: -1})
	http.Redirect(w, r, a.endSession+"?"+url.Values{
		"id_token_hint":            {s.idToken},
		"client_id":                {a.oauth2.ClientID},
		"post_logout_redirect_uri": {a.publicURL + "/"},
	}.Encode(), http.StatusFound)
}

func main() {
	// The context is kept for fetching keys later on, so it must not be one that ends.
	ctx := oidc.ClientContext(context.Background(), &http.Client{Timeout: 5 * time.Second})
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	if err != nil {
		log.Fatal(err)
	}
	var more struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&more); err != nil {
		log.Fatal(err)
	}
	a := &app{
		publicURL:  os.Getenv("PUBLIC_URL"),
		endSession: more.EndSession,
		provider:   provider,
		verifier:   provider.Verifier(&oidc.Config{ClientID: os.Getenv("CLIENT_ID")}),
		sessions:   map[string]session{},
		oauth2: oauth2.Config{
			ClientID:     os.Getenv("CLIENT_ID"),
			ClientSecret: os.Getenv("CLIENT_SECRET"),
			Endpoint:     provider.Endpoint(),
			RedirectURL:  os.Getenv("PUBLIC_URL") + "/callback",
			Scopes:       []string{oidc.ScopeOpenID},
		},
	}
	http.HandleFunc("/", a.home)
	http.HandleFunc("/orders", a.orders)
	http.HandleFunc("/callback", a.callback)
	http.HandleFunc("/signout", a.signOut)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
