/**
 * The contract of `Workspace`, the object that owns one workspace. Its methods stand with what they take and return,
 * one file a resource.
 */
import type { AppMethods } from "./workspace/apps.ts";
import type { AuditMethods } from "./workspace/audit.ts";
import type { BoxMethods } from "./workspace/boxes.ts";
import type { DomainMethods } from "./workspace/domains.ts";
import type { EnvironmentMethods } from "./workspace/environments.ts";
import type { SecretMethods } from "./workspace/secrets.ts";
import type { TokenMethods } from "./workspace/tokens.ts";

export interface WorkspaceRpc
  extends
    Rpc.DurableObjectBranded,
    AppMethods,
    AuditMethods,
    BoxMethods,
    DomainMethods,
    EnvironmentMethods,
    SecretMethods,
    TokenMethods {}
