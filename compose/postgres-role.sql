-- Least rights in PostgreSQL: a role that media-sync writes as and which owns nothing, and one that only looks.
--
-- The tables are made by whoever opens the sink first, so do that once as the owner of the database, say with
-- `media-sync ingest backfill`. Then, as the owner, and again after an upgrade that changed the tables:
--
--   psql -d media -v writer=media_sync_writer -v reader=grafana -f compose/postgres-role.sql
--
-- and give the roles their passwords (\password media_sync_writer). -v schema=... names another schema than media_sync.
\set ON_ERROR_STOP on
\if :{?schema} \else \set schema media_sync \endif

BEGIN;
\if :{?writer}
SELECT format('CREATE ROLE %I LOGIN', :'writer') WHERE to_regrole(quote_ident(:'writer')) IS NULL \gexec
GRANT CONNECT, TEMPORARY ON DATABASE :"DBNAME" TO :"writer";
GRANT USAGE ON SCHEMA :"schema" TO :"writer";
GRANT SELECT ON :"schema".migrations TO :"writer";
GRANT SELECT, INSERT, UPDATE ON :"schema".contents, :"schema".files TO :"writer";
\endif

\if :{?reader}
SELECT format('CREATE ROLE %I LOGIN', :'reader') WHERE to_regrole(quote_ident(:'reader')) IS NULL \gexec
GRANT CONNECT ON DATABASE :"DBNAME" TO :"reader";
GRANT USAGE ON SCHEMA :"schema" TO :"reader";
GRANT SELECT ON :"schema".media TO :"reader";
\endif
COMMIT;
