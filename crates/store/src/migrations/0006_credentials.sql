-- Several accounts and keys: names, suspended and revoked ones, rotation; secrets are sealed by the program.

ALTER TABLE accounts ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- NULL: made before this step.
ALTER TABLE accounts ADD COLUMN created_us INTEGER;
ALTER TABLE accounts ADD COLUMN suspended_us INTEGER;

ALTER TABLE api_keys ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE api_keys ADD COLUMN created_us INTEGER;
ALTER TABLE api_keys ADD COLUMN revoked_us INTEGER;

-- `account_secrets` and `api_key_secrets` hold what an earlier program kept in the open, until the next start seals it.
CREATE TABLE sealed_secrets (
    id INTEGER PRIMARY KEY,
    account_id INTEGER REFERENCES accounts (id),
    api_key_id INTEGER REFERENCES api_keys (id),
    sealed BLOB NOT NULL,
    since_us INTEGER NOT NULL,
    -- NULL: it has no end.
    until_us INTEGER,
    CONSTRAINT sealed_secrets_of_one CHECK ((account_id IS NULL) <> (api_key_id IS NULL))
) STRICT;

CREATE INDEX sealed_secrets_of_account ON sealed_secrets (account_id, id) WHERE account_id IS NOT NULL;
CREATE INDEX sealed_secrets_of_api_key ON sealed_secrets (api_key_id, id) WHERE api_key_id IS NOT NULL;

-- Which API key an operator changed.
ALTER TABLE audit ADD COLUMN api_key BLOB
    CONSTRAINT audit_api_key_length CHECK (length(api_key) = 16);
