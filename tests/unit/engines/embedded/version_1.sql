-- A state of version 1, as the first Windlass left it at the end of a run on 2024-06-12 at 09:00 UTC.
-- master.key (base64): fj3+kNKsilKKzzMaIzT70MqUGre6CCLObeq7OXzbCT8=
BEGIN TRANSACTION;
CREATE TABLE "d.post.letters" (dedupe text primary key, id text not null, expires real not null) without rowid;
INSERT INTO "d.post.letters" VALUES('d','4e61a47f-5d8a-4a61-b16a-64d2a74fdb5e',1718183100.0);
CREATE TABLE idempotency (scope text not null, key text not null, fingerprint blob not null, expires real not null, status integer, headers blob, body blob, primary key (scope, key)) without rowid;
INSERT INTO "idempotency" VALUES('scope','answered',X'7072696E74',1718269200.0,201,X'5B5B22782D61222C2262225D5D',X'616E73776572');
INSERT INTO "idempotency" VALUES('scope','running',X'7072696E74',1718182811.0,NULL,NULL,NULL);
CREATE TABLE layouts (name text primary key, layout text not null);
INSERT INTO "layouts" VALUES('"t.post.done"','["name",null,null,[]]');
CREATE TABLE mails (seq integer primary key autoincrement, id text not null unique, system text not null, mailer text not null, mail blob not null, sent_at real not null, state text not null, attempts integer not null default 0, reason text, due_at real, lease text, recipients blob, refused blob);
INSERT INTO "mails" VALUES(1,'5a3ad86d-1b54-4d81-af44-c371b254f72b','post','mails',X'7B2273656E646572223A22706F7374406578616D706C652E636F6D222C22746F223A5B22616461406578616D706C652E636F6D225D2C227375626A656374223A2248656C6C6F222C2274657874223A22416461222C2268746D6C223A6E756C6C2C226363223A5B5D2C22626363223A5B5D2C227265706C795F746F223A5B5D7D',1718182800.0,'kept',0,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE "q.post.jobs" (seq integer primary key autoincrement, id text not null, body blob not null, grp text, visible real not null, attempts integer not null default 0, sent real not null, trace text, reason text, dead integer not null default 0, held integer not null default 0);
INSERT INTO "q.post.jobs" VALUES(1,'5207be82-63e9-461f-99ef-20d16fef346d',X'7B226E616D65223A227761697473227D',NULL,1718182860.0,0,1718182800.0,NULL,NULL,0,0);
CREATE TABLE "q.post.letters" (seq integer primary key autoincrement, id text not null, body blob not null, grp text, visible real not null, attempts integer not null default 0, sent real not null, trace text, reason text, dead integer not null default 0, held integer not null default 0);
INSERT INTO "q.post.letters" VALUES(1,'4e61a47f-5d8a-4a61-b16a-64d2a74fdb5e',X'7B226E616D65223A226669727374227D','g',1718182800.0,0,1718182800.0,NULL,NULL,0,0);
CREATE TABLE schedules (system text not null, name text not null, rule text not null, next_at real, primary key (system, name)) without rowid;
INSERT INTO "schedules" VALUES('post','hourly','1:00:00 UTC',1718186400.0);
CREATE TABLE secrets (system text not null, name text not null, value blob not null, written_at real not null, primary key (system, name)) without rowid;
INSERT INTO "secrets" VALUES('post','key',X'472C76E32785C2D7047C313D3DA2E1785CA3117D6E1921C05C7F923945A3822A5EC7',1718182800.0);
CREATE TABLE "t.post.done" (p not null, s not null, body blob not null, expires integer, primary key (p, s));
INSERT INTO "t.post.done" VALUES('old','',X'7B226E616D65223A226F6C64227D',NULL);
CREATE TABLE ticks (id text primary key, system text not null, name text not null, scheduled_at real not null, attempt integer not null, due_at real not null);
CREATE TABLE user_pool_begun (
      system text not null, pool text not null, primary key (system, pool)
    ) without rowid
    ;
INSERT INTO "user_pool_begun" VALUES('post','users');
CREATE TABLE user_pool_failures (
      system text not null, pool text not null, name blob not null,
      failures integer not null, locked_until real not null, expires_at real not null,
      primary key (system, pool, name)
    ) without rowid
    ;
CREATE TABLE user_pool_families (
      system text not null, pool text not null, id text not null, user_id text not null, event_id text not null,
      auth_time integer not null, ends_at integer not null,
      refresh_id text not null, refreshed_at real not null, spent_id text,
      primary key (system, pool, id)
    );
INSERT INTO "user_pool_families" VALUES('post','users','657f6248-86f9-46e6-a0ce-ac788b11ba1f','0b40697a-7dd8-4cb4-9058-ead0eb9d314b','43a7aed1-2e18-4d40-8c2f-19c8fc18b1be',1718182800,1720774800,'29599f85-140a-46b9-b3d7-2a898d8143f1',1718182800.0,NULL);
CREATE TABLE user_pool_issuers (
      system text not null, pool text not null, issuer text not null, used_at real not null,
      primary key (system, pool, issuer)
    ) without rowid
    ;
INSERT INTO "user_pool_issuers" VALUES('post','users','http://127.0.0.1:8400/post/_pools/users',1718182800.0);
CREATE TABLE user_pool_keys (
  system text not null, pool text not null, private_key blob not null, created_at real not null,
  primary key (system, pool)
) without rowid
;
INSERT INTO "user_pool_keys" VALUES('post','users',X'D024F6729B97F56C19D1B42203978AF649537239E2D0E1A3F9D558D2FE911C9724F2BCC3D9AB776B30DB882E002E3EB110A84A715FC4261115DCD8B249EF65FCEDAFDAEFCA2B8729004A49FE2E7DB2D7DD8307FE224509AE73346AC577B9D763C67177DE83C093C585BB42C2896AE0994DD90FBA6C0F1EF927605AE7F31520A0CF8025D6EF7F6E50D304BD75EA054B0B442BACEAECF0A70B392DB36A77B36B55935DD50FADBE4A26877C1E6FC5732D9BA3791264CB44958233DB0525750819DAC74BF81416BC6ADE8A6137D3B27CCB4161316DB32C26E696D5EB078B95AF52F54439CB2B51648526A02B71698EE593827AE54CC922EF9FBC6F3D636ABC7B2F59FE5FBA40D0235FAAEF225BC685F32D5094014864A0D221E247F7D5A382247C655E85E40EB2B93D4433828A69EA89450E09408434E9EDDB4D94ED9FF2AB423492D9E3D8F3AFC0774F0BA53BB169E2817087F6E733E5BA095F2C2A6BE336CAA29AD5122E44049F26B1B77BC64E15F5C2700D270ACC367E2E7074C1C134E3D36BF7D916D83E86506FC73251E8F6E034CD1DA6D43BD965644BE8CDD53FFC8ABE52BCBFC23BB33CFE8325BE6AB7F6586AE75BBE3BC160A48111BADAB634C0E07711B46982B849D1C6D2E5423C8F8CCA4185315DC2A53C3AACF71726B1B6CEA3A450476ECEA93E4FD0E38E59BD29BFC9E06C59B4B1B495D91045A839E4C2B725DD2BD78468667F05986B0CA6BEC9D8F12AD6213DAB0E4363C5004C5CE2143F86EB2DEAF3DF79FB9ED4873FD2177BF623DEDA59645203414F519608CDA2F7AB8D86794FE94579DD59923C69E9E27D3C833E1F1D03E93F64509B35C8B050F420929019C0D9ADEE642E7EE4CACF792B3A0F32C096EDD604A1AA2D86DEEF9F65D1BDEEF460B2238398FED99F2521624C54F9C7870B4DE420EAD3343EB9BC05E11FCF3FE82830A042C0A882D39684E75A752BD1FFD7420C11376461D145432B823DD079BE08CE52CA7D4028DF93FD0A93544D2A28E0CECFFFF92277E4323609EAEF14CA4A6E7CB05CF11F276A2042AB63386050450394A9120AD40D1809A3A194C54EB75F6AE3127FDAE7DBE0049B41DD4B961818FEFA392DC9E3484AAA7A10ECE13DFCC25C52B1C1109EB18E35C15F9F803284F5744CD896075B299A7AAB675E5040236A3465E602913B9FFB923C141B3AD627F80A5318FF601833DB828B2446C9CD4FD78610BC7FD98BA3DD906F28A28F0D97807AFEC22E3059017FB85CF75A948FA5A0F456D1259F710234A107F7CBDE794EA5A587C34622A143C94558B2A341689DE8F3A3C13E0C8A64AB2E64D2C96EABF290A249D85DB9C4AB74DCE6C558244BF80E05573A10FE3401B5DDF34C32C753A1EC0C0DA73BF19EB403F1B00A074F9078F9B1F9E3E5BAEA44B28E1DEE70A55E78CDB961D328B85400A46E54F263A1D45120FA18E9B028028E3B4DAF279C83C6C6F2556C43C9168AA95A53BFB73CB4DC1DB5E362DCC7ABD5CDA91978C18867235F1AEAB3C152FD8A9FE9872320784B1E3DCA3101B69EA232D63058F8824B21F0ABD203A33A67E825A76BC1CEF78CA35B3E545CE351663BB0DBB962B1741EDA8937D8F7035BAB09939F8C2EE6B6EFB258F903A16B42A4D564C3513C986562DDB0F97E8363F258D01D0E12FDA51CFE8555E3DBF12ADB36F6F7B98C08884061931FFE6657A0E3E00EB044AB5676EA0CE13681F92707F7B4311C9DE2FE41DA4606BCF6592340FD6F9CF2680CE7CD3A94D49444',1718182800.0);
CREATE TABLE user_pool_users (
      system text not null, pool text not null, username text not null, id text not null, email text,
      groups text not null, enabled integer not null, password text not null, generation integer not null,
      created_at real not null,
      primary key (system, pool, username)
    );
INSERT INTO "user_pool_users" VALUES('post','users','ada','0b40697a-7dd8-4cb4-9058-ead0eb9d314b',NULL,'["staff"]',1,'$argon2id$v=19$m=8,t=1,p=1$NmnbJMKqydGih/WVUs596Q$PLBZW9+kkxHfAkkh4d+5rFgRMevEXflUEhErVR1fu2s',0,1718182800.0);
CREATE UNIQUE INDEX user_pool_users_id on user_pool_users (system, pool, id);
CREATE INDEX user_pool_families_user on user_pool_families (system, pool, user_id, auth_time);
CREATE INDEX user_pool_families_end on user_pool_families (system, pool, ends_at);
CREATE INDEX user_pool_failures_expiry on user_pool_failures (system, pool, expires_at);
CREATE INDEX "q.post.jobs.visible" on "q.post.jobs" (dead, visible);
CREATE INDEX "q.post.letters.visible" on "q.post.letters" (dead, visible);
CREATE INDEX "q.post.letters.grp" on "q.post.letters" (grp, dead, visible, seq);
CREATE INDEX mails_by_mailer on mails (system, mailer, seq);
CREATE INDEX mails_due on mails (system, mailer, due_at) where state = 'waiting';
CREATE INDEX idempotency_expires on idempotency (expires);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('q.post.jobs',1);
INSERT INTO "sqlite_sequence" VALUES('q.post.letters',1);
INSERT INTO "sqlite_sequence" VALUES('mails',1);
COMMIT;
pragma user_version = 1;
