BEGIN TRANSACTION;
CREATE TABLE acts (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	workspace VARCHAR NOT NULL, 
	actor VARCHAR NOT NULL, 
	actor_name VARCHAR NOT NULL, 
	address VARCHAR NOT NULL, 
	act VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	why VARCHAR NOT NULL, 
	client VARCHAR NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_acts PRIMARY KEY (id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0005');
CREATE TABLE api_keys (
	id VARCHAR NOT NULL, 
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	expires DATETIME, 
	last_used DATETIME, 
	person VARCHAR, scopes JSON, server VARCHAR DEFAULT '' NOT NULL, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT uq_api_keys_workspace UNIQUE (workspace, name), 
	CONSTRAINT uq_api_keys_digest UNIQUE (digest), 
	CONSTRAINT fk_api_keys_workspace_memberships FOREIGN KEY(workspace, person) REFERENCES memberships (workspace, person) ON DELETE CASCADE, 
	CONSTRAINT fk_api_keys_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE approvals (
	id VARCHAR NOT NULL, 
	workspace VARCHAR NOT NULL, 
	principal VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	sealed VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	via VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	expires DATETIME NOT NULL, 
	decided_by VARCHAR NOT NULL, 
	decided_at DATETIME, 
	CONSTRAINT pk_approvals PRIMARY KEY (id), 
	CONSTRAINT fk_approvals_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE browser_sessions (
	id VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	last_seen DATETIME NOT NULL, 
	agent VARCHAR NOT NULL, 
	address VARCHAR NOT NULL, 
	CONSTRAINT pk_browser_sessions PRIMARY KEY (id), 
	CONSTRAINT uq_browser_sessions_digest UNIQUE (digest), 
	CONSTRAINT fk_browser_sessions_person_people FOREIGN KEY(person) REFERENCES people (id) ON DELETE CASCADE
);
CREATE TABLE bundles (
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	include JSON NOT NULL, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_bundles PRIMARY KEY (workspace, name), 
	CONSTRAINT fk_bundles_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE calls (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	workspace VARCHAR NOT NULL, 
	principal VARCHAR NOT NULL, 
	principal_name VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	groups JSON NOT NULL, 
	client VARCHAR NOT NULL, 
	address VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	method VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	outcome VARCHAR NOT NULL, 
	error VARCHAR NOT NULL, 
	duration_ms DOUBLE NOT NULL, 
	upstream_ms DOUBLE NOT NULL, 
	trace_id VARCHAR NOT NULL, 
	CONSTRAINT pk_calls PRIMARY KEY (id)
);
CREATE TABLE connect_flows (
	state VARCHAR NOT NULL, 
	workspace VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	sealed VARCHAR NOT NULL, 
	expires DATETIME NOT NULL, 
	CONSTRAINT pk_connect_flows PRIMARY KEY (state), 
	CONSTRAINT fk_connect_flows_workspace_servers FOREIGN KEY(workspace, server) REFERENCES servers (workspace, name) ON DELETE CASCADE
);
CREATE TABLE connections (
	workspace VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	issuer VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	why VARCHAR NOT NULL, 
	scopes JSON NOT NULL, 
	wanted JSON NOT NULL, 
	sealed VARCHAR NOT NULL, 
	expires DATETIME, 
	generation INTEGER NOT NULL, 
	connected_by VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	refreshed DATETIME, 
	lease_holder VARCHAR NOT NULL, 
	lease_until DATETIME, 
	CONSTRAINT pk_connections PRIMARY KEY (workspace, server, subject), 
	CONSTRAINT fk_connections_workspace_servers FOREIGN KEY(workspace, server) REFERENCES servers (workspace, name) ON DELETE CASCADE
);
CREATE TABLE counters (
	"key" VARCHAR NOT NULL, 
	starts INTEGER NOT NULL, 
	ends INTEGER NOT NULL, 
	used INTEGER NOT NULL, 
	CONSTRAINT pk_counters PRIMARY KEY ("key", starts)
);
CREATE TABLE definitions (
	workspace VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	first_seen DATETIME NOT NULL, 
	decided_by VARCHAR NOT NULL, 
	decided_at DATETIME, 
	definition JSON NOT NULL, 
	CONSTRAINT pk_definitions PRIMARY KEY (workspace, server, name, digest), 
	CONSTRAINT fk_definitions_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE group_members (
	workspace VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	CONSTRAINT pk_group_members PRIMARY KEY (workspace, person, name), 
	CONSTRAINT fk_group_members_workspace_memberships FOREIGN KEY(workspace, person) REFERENCES memberships (workspace, person) ON DELETE CASCADE
);
CREATE TABLE hosts (
	host VARCHAR NOT NULL, 
	path VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, keys BOOLEAN DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_hosts PRIMARY KEY (host)
);
CREATE TABLE invitations (
	id VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	workspace VARCHAR, 
	email VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	groups JSON NOT NULL, 
	inviter VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	expires DATETIME NOT NULL, 
	used DATETIME, 
	CONSTRAINT pk_invitations PRIMARY KEY (id), 
	CONSTRAINT uq_invitations_digest UNIQUE (digest), 
	CONSTRAINT fk_invitations_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE leases (
	id VARCHAR NOT NULL, 
	"key" VARCHAR NOT NULL, 
	holder VARCHAR NOT NULL, 
	until INTEGER NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (id)
);
CREATE TABLE logins (
	issuer VARCHAR NOT NULL, 
	subject VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	last_used DATETIME NOT NULL, 
	CONSTRAINT pk_logins PRIMARY KEY (issuer, subject), 
	CONSTRAINT fk_logins_person_people FOREIGN KEY(person) REFERENCES people (id) ON DELETE CASCADE
);
CREATE TABLE memberships (
	workspace VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	role VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_memberships PRIMARY KEY (workspace, person), 
	CONSTRAINT fk_memberships_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE, 
	CONSTRAINT fk_memberships_person_people FOREIGN KEY(person) REFERENCES people (id) ON DELETE CASCADE
);
CREATE TABLE oauth_assertions (
	digest VARCHAR NOT NULL, 
	expires DATETIME NOT NULL, 
	CONSTRAINT pk_oauth_assertions PRIMARY KEY (digest)
);
CREATE TABLE oauth_clients (
	id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	redirect_uris JSON NOT NULL, 
	auth_method VARCHAR NOT NULL, 
	secret VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	said JSON NOT NULL, 
	address VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	last_used DATETIME, 
	CONSTRAINT pk_oauth_clients PRIMARY KEY (id)
);
CREATE TABLE oauth_codes (
	digest VARCHAR NOT NULL, 
	grant VARCHAR NOT NULL, 
	redirect_uri VARCHAR NOT NULL, 
	challenge VARCHAR NOT NULL, 
	expires DATETIME NOT NULL, 
	used DATETIME, 
	CONSTRAINT pk_oauth_codes PRIMARY KEY (digest), 
	CONSTRAINT fk_oauth_codes_grant_oauth_grants FOREIGN KEY(grant) REFERENCES oauth_grants (id) ON DELETE CASCADE
);
CREATE TABLE oauth_consents (
	person VARCHAR NOT NULL, 
	client VARCHAR NOT NULL, 
	redirect_uri VARCHAR NOT NULL, 
	reach VARCHAR NOT NULL, 
	workspace VARCHAR NOT NULL, 
	scopes JSON NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_oauth_consents PRIMARY KEY (person, client, redirect_uri, reach), 
	CONSTRAINT fk_oauth_consents_workspace_memberships FOREIGN KEY(workspace, person) REFERENCES memberships (workspace, person) ON DELETE CASCADE
);
CREATE TABLE oauth_grants (
	id VARCHAR NOT NULL, 
	person VARCHAR NOT NULL, 
	workspace VARCHAR NOT NULL, 
	client VARCHAR NOT NULL, 
	client_name VARCHAR NOT NULL, 
	redirect_host VARCHAR NOT NULL, 
	reach VARCHAR NOT NULL, 
	resource VARCHAR NOT NULL, 
	scopes JSON NOT NULL, 
	issuer VARCHAR NOT NULL, 
	address VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	last_used DATETIME, 
	CONSTRAINT pk_oauth_grants PRIMARY KEY (id), 
	CONSTRAINT fk_oauth_grants_workspace_memberships FOREIGN KEY(workspace, person) REFERENCES memberships (workspace, person) ON DELETE CASCADE
);
CREATE TABLE oauth_tokens (
	digest VARCHAR NOT NULL, 
	grant VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	scopes JSON NOT NULL, 
	created DATETIME NOT NULL, 
	expires DATETIME NOT NULL, 
	replaced DATETIME, 
	CONSTRAINT pk_oauth_tokens PRIMARY KEY (digest), 
	CONSTRAINT fk_oauth_tokens_grant_oauth_grants FOREIGN KEY(grant) REFERENCES oauth_grants (id) ON DELETE CASCADE
);
CREATE TABLE people (
	id VARCHAR NOT NULL, 
	email VARCHAR NOT NULL, 
	folded VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	password VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	disabled DATETIME, claimed JSON DEFAULT '[]' NOT NULL, 
	CONSTRAINT pk_people PRIMARY KEY (id), 
	CONSTRAINT uq_people_folded UNIQUE (folded)
);
CREATE TABLE policy_versions (
	workspace VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	text VARCHAR NOT NULL, 
	who VARCHAR NOT NULL, 
	why VARCHAR NOT NULL, 
	origin VARCHAR NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_policy_versions PRIMARY KEY (workspace, number), 
	CONSTRAINT fk_policy_versions_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE revision (
	id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	CONSTRAINT pk_revision PRIMARY KEY (id)
);
INSERT INTO "revision" VALUES(1,0);
CREATE TABLE secrets (
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	sealed VARCHAR NOT NULL, 
	CONSTRAINT pk_secrets PRIMARY KEY (workspace, name), 
	CONSTRAINT fk_secrets_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE servers (
	workspace VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	transport VARCHAR NOT NULL, 
	url VARCHAR NOT NULL, 
	command JSON NOT NULL, 
	env JSON NOT NULL, 
	cwd VARCHAR NOT NULL, 
	headers JSON NOT NULL, 
	protocol VARCHAR NOT NULL, 
	process VARCHAR NOT NULL, 
	title VARCHAR NOT NULL, 
	enabled BOOLEAN NOT NULL, 
	origin VARCHAR NOT NULL, access JSON, auth JSON, forward JSON DEFAULT '{}' NOT NULL, 
	CONSTRAINT pk_servers PRIMARY KEY (workspace, name), 
	CONSTRAINT fk_servers_workspace_workspaces FOREIGN KEY(workspace) REFERENCES workspaces (slug) ON DELETE CASCADE
);
CREATE TABLE sign_in_tokens (
	person VARCHAR NOT NULL, 
	provider VARCHAR NOT NULL, 
	issuer VARCHAR NOT NULL, 
	sealed VARCHAR NOT NULL, 
	expires DATETIME, 
	CONSTRAINT pk_sign_in_tokens PRIMARY KEY (person, provider), 
	CONSTRAINT fk_sign_in_tokens_person_people FOREIGN KEY(person) REFERENCES people (id) ON DELETE CASCADE
);
CREATE TABLE signing_keys (
	kid VARCHAR NOT NULL, 
	public JSON NOT NULL, 
	sealed VARCHAR NOT NULL, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_signing_keys PRIMARY KEY (kid)
);
CREATE TABLE upstream_clients (
	workspace VARCHAR NOT NULL, 
	server VARCHAR NOT NULL, 
	issuer VARCHAR NOT NULL, 
	redirect_uri VARCHAR NOT NULL, 
	sealed VARCHAR NOT NULL, 
	expires DATETIME, 
	created DATETIME NOT NULL, 
	CONSTRAINT pk_upstream_clients PRIMARY KEY (workspace, server, issuer), 
	CONSTRAINT fk_upstream_clients_workspace_servers FOREIGN KEY(workspace, server) REFERENCES servers (workspace, name) ON DELETE CASCADE
);
CREATE TABLE workspaces (
	slug VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	policy JSON, 
	origin VARCHAR NOT NULL, 
	CONSTRAINT pk_workspaces PRIMARY KEY (slug)
);
CREATE INDEX ix_counters_ends ON counters (ends);
CREATE INDEX ix_leases_key ON leases ("key");
CREATE INDEX ix_approvals_digest ON approvals (digest);
CREATE INDEX ix_calls_workspace ON calls (workspace, at);
CREATE INDEX ix_memberships_person ON memberships (person);
CREATE INDEX ix_browser_sessions_person ON browser_sessions (person);
CREATE INDEX ix_logins_person ON logins (person);
CREATE INDEX ix_oauth_clients_digest ON oauth_clients (digest);
CREATE INDEX ix_oauth_assertions_expires ON oauth_assertions (expires);
CREATE INDEX ix_oauth_grants_person ON oauth_grants (person);
CREATE INDEX ix_oauth_grants_client ON oauth_grants (client);
CREATE INDEX ix_oauth_codes_grant ON oauth_codes (grant);
CREATE INDEX ix_oauth_tokens_grant ON oauth_tokens (grant);
CREATE INDEX ix_oauth_tokens_expires ON oauth_tokens (expires);
CREATE INDEX ix_acts_workspace ON acts (workspace, at);
CREATE INDEX ix_connect_flows_expires ON connect_flows (expires);
COMMIT;
