// go-oidc with x/oauth2, as their own examples use them.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	oidc "github.com/coreos/go-oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// One line for each thing that was tried, which scripts/interop reads and counts.
func check(what string, err error) {
	if err != nil {
		fmt.Printf("FAIL %s: %s\n", what, strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(1)
	}
	fmt.Printf("ok %s\n", what)
}

func want(is bool, format string, values ...interface{}) error {
	if is {
		return nil
	}
	return fmt.Errorf(format, values...)
}

func random() string {
	bytes := make([]byte, 32)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(bytes)
}

func visit(address string) (url.Values, error) {
	driver := strings.Split(os.Getenv("DRIVER"), " ")
	command := exec.Command(driver[0], append(driver[1:], address, "--until", os.Getenv("REDIRECT_URI"))...)
	command.Stderr = os.Stderr
	told, err := command.Output()
	if err != nil {
		return nil, err
	}
	var end struct{ Address string }
	if err := json.Unmarshal(told, &end); err != nil {
		return nil, err
	}
	back, err := url.Parse(end.Address)
	if err != nil {
		return nil, err
	}
	return back.Query(), nil
}

func main() {
	ctx := context.Background()
	issuer := os.Getenv("ISSUER")
	provider, err := oidc.NewProvider(ctx, issuer)
	check("discovery", err)
	config := oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		Endpoint:     provider.Endpoint(),
		RedirectURL:  os.Getenv("REDIRECT_URI"),
		Scopes:       []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess},
	}

	state, nonce, verifier := random(), random(), random()
	digest := sha256.Sum256([]byte(verifier))
	address := config.AuthCodeURL(state, oidc.Nonce(nonce),
		oauth2.SetAuthURLParam("code_challenge", base64.RawURLEncoding.EncodeToString(digest[:])),
		oauth2.SetAuthURLParam("code_challenge_method", "S256"))
	back, err := visit(address)
	if err == nil {
		err = want(back.Get("state") == state && back.Get("iss") == issuer, "%v", back)
	}
	check("the user signs in and comes back with state and issuer", err)

	token, err := config.Exchange(ctx, back.Get("code"), oauth2.SetAuthURLParam("code_verifier", verifier))
	check("code and PKCE", err)
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: config.ClientID}).Verify(ctx, raw)
	check("the ID token", err)
	check("the nonce", want(id.Nonce == nonce, "%s", id.Nonce))
	check("at_hash, if there is one", func() error {
		if id.AccessTokenHash == "" {
			return nil
		}
		return id.VerifyAccessToken(token.AccessToken)
	}())

	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err == nil {
		err = want(info.Subject == id.Subject && info.Email == os.Getenv("EMAIL"), "%+v", info)
	}
	check("userinfo", err)

	token.Expiry = time.Now().Add(-time.Minute)
	fresh, err := config.TokenSource(ctx, token).Token()
	if err == nil {
		err = want(fresh.AccessToken != token.AccessToken && fresh.RefreshToken != token.RefreshToken, "the old ones")
	}
	check("an expired token is refreshed", err)

	own := clientcredentials.Config{
		ClientID:     config.ClientID,
		ClientSecret: config.ClientSecret,
		TokenURL:     config.Endpoint.TokenURL,
		Scopes:       []string{"orders:read"},
	}
	_, err = own.Token(ctx)
	check("client credentials", err)
	fmt.Println("done")
}
