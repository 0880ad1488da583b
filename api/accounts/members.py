"""Members of a workspace, and their invitations."""

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_serializer, extend_schema_view
from rest_framework import serializers, status
from rest_framework.mixins import DestroyModelMixin, ListModelMixin, RetrieveModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.members import add_member, change_role, invite_again, remove_member
from accounts.models import Membership, Role, Scope
from api.base.views import ApiViewSet, EmptySerializer
from core.validation.fields import Choice, Instant, Text
from core.validation.strict import StrictSerializer

STATES = ("active", "invited", "disabled")
_EXAMPLE = {
    "id": "01978f3a-5c1e-7d2b-9f40-2b6f1c9d8e7a",
    "username": "nina",
    "email": "nina@example.com",
    "role": "member",
    "state": "invited",
    "created_at": "2026-03-01T09:30:00.000Z",
}
_INVITATION_EXAMPLE = {
    "url": "https://hourhand.example.com/invitations/MTc/d2f1kq-4c1f0a5d0b7b3b0e9a6d7c5f2e1b8a94/",
    "expires_at": "2026-03-04T09:30:00.000Z",
}


class RoleField(Choice):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            choices=Role.choices,
            help_text="`viewer` can read; `member` can also change and run jobs; `admin` can also manage the "
            "workspace; `owner` can also add owners and wipe it.",
            **options,
        )


class InvitationSerializer(serializers.Serializer):
    """An invitation link. It is shown once, and works once for anyone who has it."""

    url = Text(help_text="The page to accept on, with an existing or a new account.")
    expires_at = Instant(help_text="When `url` stops working: three days after its creation.")


@extend_schema_serializer(
    examples=[
        OpenApiExample("New user", {"email": "nina@example.com", "role": "member"}, request_only=True),
        OpenApiExample("Existing user", {"username": "olga", "role": "admin"}, request_only=True),
        OpenApiExample("Member", _EXAMPLE, response_only=True),
    ]
)
class MemberSerializer(StrictSerializer):
    """A user's membership in the workspace."""

    id = serializers.UUIDField(read_only=True, help_text="Id of the membership, which identifies the member in paths.")
    username = Text(
        max_length=150,
        default="",
        help_text="The account's username. While `invited`: the suggested one; if omitted, the email address.",
    )
    email = Text(
        max_length=254,
        default="",
        help_text="The invited email address. It is not verified.",
    )
    role = RoleField(default=Role.MEMBER)
    state = serializers.ChoiceField(
        choices=STATES,
        read_only=True,
        help_text="`invited`: has not accepted yet and has no access; `disabled`: can't sign in to the dashboard.",
    )
    created_at = Instant(read_only=True, help_text="When the member was added to the workspace.")

    def to_representation(self, instance: Membership) -> dict[str, Any]:
        return {
            "id": str(instance.pk),
            "username": instance.username,
            "email": instance.email,
            "role": instance.role,
            "state": instance.state,
            "created_at": self.fields["created_at"].to_representation(instance.created_at),
        }


@extend_schema_serializer(
    examples=[OpenApiExample("New member", {**_EXAMPLE, "invitation": _INVITATION_EXAMPLE}, response_only=True)]
)
class AddedMemberSerializer(MemberSerializer):
    """A new member with their invitation."""

    invitation = InvitationSerializer(help_text="The link with which they accept.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        member = MemberSerializer(instance.membership).data
        return {**member, "invitation": InvitationSerializer(instance.invitation).data}


@extend_schema_serializer(examples=[OpenApiExample("Change the role", {"role": "viewer"}, request_only=True)])
class RoleSerializer(StrictSerializer):
    role = RoleField()


@extend_schema_view(
    list=extend_schema(operation_id="members_list", summary="List members", responses=MemberSerializer(many=True)),
    create=extend_schema(
        operation_id="members_create",
        summary="Add a member",
        description="Give a username, an email address, or both. Returns an `invitation` to pass on; the member is who "
        "accepts it, with an existing or a new account. The role can't exceed your own: only owners add owners, and "
        "keys that are bound to environments or expire can't add members (403).",
        request=MemberSerializer,
        responses={201: AddedMemberSerializer},
    ),
    retrieve=extend_schema(operation_id="members_get", summary="Get a member"),
    partial_update=extend_schema(
        operation_id="members_patch",
        summary="Change a member's role",
        description="409 if the workspace would have no owner.",
        request=RoleSerializer,
    ),
    destroy=extend_schema(
        operation_id="members_delete",
        summary="Remove a member or withdraw an invitation",
        description="The user's account is kept. 409 if the workspace would have no owner.",
        request=None,
        responses={204: None},
    ),
)
class MemberViewSet(ListModelMixin, RetrieveModelMixin, DestroyModelMixin, ApiViewSet):
    """The members of the workspace, invited ones included."""

    read_scope: str = Scope.ADMIN
    write_scope: str = Scope.ADMIN
    serializer_class = MemberSerializer
    lookup_url_kwarg = "member"
    noun = "member"

    def get_queryset(self) -> Any:
        return Membership.objects.filter(workspace=self.access.workspace).select_related("user", "workspace")

    @property
    def by(self) -> dict[str, Any]:
        """The caller and the most that it can grant."""
        return {"actor": self.access.actor, "limit": self.access.grant, "now": self.now}

    def create(self, request: Request) -> Response:
        body = self.read_body(request, MemberSerializer)
        added = add_member(workspace=self.access.workspace, **body, **self.by)
        headers = self.location(f"members/{added.membership.pk}")
        return Response(AddedMemberSerializer(added).data, status=status.HTTP_201_CREATED, headers=headers)

    def partial_update(self, request: Request, **_path: Any) -> Response:
        membership = self.get_object()
        role = self.read_body(request, RoleSerializer)["role"]
        changed = change_role(membership=membership, role=role, **self.by)
        return Response(MemberSerializer(changed).data)

    def perform_destroy(self, instance: Membership) -> None:
        remove_member(membership=instance, **self.by)

    @extend_schema(
        operation_id="members_invite",
        summary="Create a new invitation link",
        description="For a member who has not accepted yet (else 409). The previous link stops working.",
        request=EmptySerializer,
        responses={201: InvitationSerializer},
    )
    def invite(self, request: Request, member: uuid.UUID) -> Response:
        self.read_body(request, EmptySerializer)
        invitation = invite_again(membership=self.get_object(), **self.by)
        # The URL of an invitation is a secret and is not stored.
        headers = self.location(f"members/{member}")
        return Response(InvitationSerializer(invitation).data, status=status.HTTP_201_CREATED, headers=headers)
