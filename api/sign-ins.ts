/** `/sign-ins`. People who have signed in at the workspace's endpoints, whom the gateway keeps no list of. */
import { apiOperation } from "./operation.ts";

export const REVOKE_SIGN_INS = apiOperation({
  id: "revokeSignIns",
  method: "delete",
  path: "/sign-ins",
  tag: "sign-ins",
  summary: "End each sign-in at an endpoint of the workspace, everywhere within 5 s",
  description: "Idempotent. People sign in again. Their open WebSockets and streams go on.",
  needs: "deploy",
});
