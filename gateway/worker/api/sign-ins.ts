/** `/api/v1/sign-ins`: sign-ins of people at the workspace's endpoints. */
import { REVOKE_SIGN_INS } from "../../../api/sign-ins.ts";
import { workspaceStub } from "../../contracts/stubs.ts";
import { type ApiHandler, handle } from "./operation-router.ts";

export const SIGN_IN_HANDLERS: readonly ApiHandler[] = [
  handle(REVOKE_SIGN_INS, async ({ env, caller: { workspace } }) => {
    await workspaceStub(env, workspace).revokeSignIns();
  }),
];
