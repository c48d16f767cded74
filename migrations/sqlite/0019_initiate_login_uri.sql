-- Where somebody else may send a user who is to sign in to the client (OpenID Connect Core section 4). NULL: nowhere.
ALTER TABLE clients ADD COLUMN initiate_login_uri TEXT;
