/**
 * Writes Caddy's configuration, as a Caddyfile: that form stays the same where Caddy's JSON changed between versions.
 * It contains no secrets and no paths: Caddy runs in a directory with the files that it names.
 */

import type { TlsSettings } from "./tls-settings.ts";

/** The CA's own root certificate, where the operator names one, in the directory in which Caddy runs. */
export const ROOT_FILE = "acme-ca-root.pem";

/** workerd closes a connection without a request after 15 s. Caddy must not begin a request on one at that moment. */
const KEEP_IDLE_S = 10;

/** As workerd's. */
const HEAD_TIMEOUT_S = 15;

export interface CaddyfileOptions {
  readonly settings: TlsSettings;
  readonly baseDomain: string;
  /** The gateway's own port on 127.0.0.1. */
  readonly gatewayPort: number;
  /** Where Caddy asks whether a name may have a certificate. */
  readonly askUrl: string;
  /** How long responses may go on when Caddy is asked to end. */
  readonly graceS: number;
}

export function caddyfile(options: CaddyfileOptions): string {
  const { settings, baseDomain, gatewayPort, askUrl, graceS } = options;
  const { host, httpPort, httpsPort, acmeCa, acmeCaRoot, acmeEmail, trustedProxies } = settings;
  const publicPort = /:\d+$/.exec(baseDomain)?.[0] ?? "";
  return `{
	admin off
	http_port ${httpPort}
	https_port ${httpsPort}
	grace_period ${graceS}s${line("default_bind", host)}${line("email", acmeEmail)}${line("acme_ca", acmeCa)}${line("acme_ca_root", acmeCaRoot && ROOT_FILE)}
	on_demand_tls {
		ask ${askUrl}
	}
	log {
		level ERROR
	}
	servers {
		protocols h1 h2
		timeouts {
			read_header ${HEAD_TIMEOUT_S}s
		}
	}
}

http:// {
	redir https://{host}${publicPort}{uri} 308
}

https:// {
	tls {
		on_demand
	}
	reverse_proxy 127.0.0.1:${gatewayPort} {
		# Never -1, with which Caddy goes on with a request whose client has left.
		flush_interval 1ms${trustedProxies.length === 0 ? "" : `\n\t\ttrusted_proxies ${trustedProxies.join(" ")}`}
		transport http {
			versions 1.1
			compression off
			keepalive ${KEEP_IDLE_S}s
			keepalive_idle_conns_per_host 1024
		}
	}
}
`;
}

function line(directive: string, value: string | undefined): string {
  return value === undefined ? "" : `\n\t${directive} ${value}`;
}
